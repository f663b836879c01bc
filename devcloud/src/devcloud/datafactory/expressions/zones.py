"""Time zones by the names that Windows has for them, which are those of the language.

Source: the table windowsZones of the Unicode CLDR, each name with its main territory.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_AREAS = {
    "Africa": """
        Egypt=Cairo Libya=Tripoli Morocco=Casablanca Namibia=Windhoek South_Africa=Johannesburg
        South_Sudan=Juba Sudan=Khartoum E._Africa=Nairobi W._Central_Africa=Lagos
        Sao_Tome=Sao_Tome
    """,
    "America": """
        Alaskan=Anchorage Aleutian=Adak Argentina=Buenos_Aires Bahia=Bahia
        Canada_Central=Regina Central=Chicago Central_America=Guatemala
        Central_Brazilian=Cuiaba Cuba=Havana E._South_America=Sao_Paulo Eastern=New_York
        Eastern_(Mexico)=Cancun Greenland=Godthab Haiti=Port-au-Prince Magallanes=Punta_Arenas
        Montevideo=Montevideo Mountain=Denver Mountain_(Mexico)=Mazatlan
        Newfoundland=St_Johns Pacific=Los_Angeles Pacific_(Mexico)=Tijuana
        Pacific_SA=Santiago Paraguay=Asuncion SA_Eastern=Cayenne SA_Pacific=Bogota
        SA_Western=La_Paz Saint_Pierre=Miquelon Tocantins=Araguaina Turks_And_Caicos=Grand_Turk
        US_Eastern=Indianapolis US_Mountain=Phoenix Venezuela=Caracas Yukon=Whitehorse
        Atlantic=Halifax Central_(Mexico)=Mexico_City
    """,
    "Asia": """
        Afghanistan=Kabul Altai=Barnaul Arab=Riyadh Arabian=Dubai Arabic=Baghdad
        Azerbaijan=Baku Bangladesh=Dhaka Caucasus=Yerevan Central_Asia=Bishkek China=Shanghai
        Ekaterinburg=Yekaterinburg Georgian=Tbilisi India=Calcutta
        Iran=Tehran Israel=Jerusalem Jordan=Amman Kamchatka=Kamchatka Korea=Seoul Magadan=Magadan
        Middle_East=Beirut Myanmar=Rangoon N._Central_Asia=Novosibirsk Nepal=Katmandu
        North_Asia=Krasnoyarsk North_Asia_East=Irkutsk North_Korea=Pyongyang Omsk=Omsk
        Pakistan=Karachi Qyzylorda=Qyzylorda
        SE_Asia=Bangkok Sakhalin=Sakhalin Singapore=Singapore Sri_Lanka=Colombo Syria=Damascus
        Taipei=Taipei Tokyo=Tokyo Tomsk=Tomsk Transbaikal=Chita Ulaanbaatar=Ulaanbaatar
        Vladivostok=Vladivostok W._Mongolia=Hovd West_Asia=Tashkent West_Bank=Hebron
        Yakutsk=Yakutsk
    """,
    "Europe": """
        Astrakhan=Astrakhan Belarus=Minsk Central_Europe=Budapest Central_European=Warsaw
        E._Europe=Chisinau FLE=Kiev GMT=London GTB=Bucharest Kaliningrad=Kaliningrad
        Romance=Paris Russian=Moscow Saratov=Saratov Turkey=Istanbul Volgograd=Volgograd
        W._Europe=Berlin
    """,
    "Australia": """
        AUS_Central=Darwin AUS_Eastern=Sydney Aus_Central_W.=Eucla Cen._Australia=Adelaide
        E._Australia=Brisbane Lord_Howe=Lord_Howe Tasmania=Hobart W._Australia=Perth
    """,
    "Pacific": """
        Bougainville=Bougainville Central_Pacific=Guadalcanal Chatham_Islands=Chatham
        Easter_Island=Easter Fiji=Fiji Hawaiian=Honolulu Line_Islands=Kiritimati
        Marquesas=Marquesas New_Zealand=Auckland Norfolk=Norfolk Samoa=Apia Tonga=Tongatapu
        West_Pacific=Port_Moresby
    """,
    "Atlantic": "Azores=Azores Cape_Verde=Cape_Verde Greenwich=Reykjavik",
    "Indian": "Mauritius=Mauritius",
}
_OTHERS = {
    "UTC": "UTC",
    "Dateline Standard Time": "Etc/GMT+12",
    "UTC-11": "Etc/GMT+11",
    "UTC-09": "Etc/GMT+9",
    "UTC-08": "Etc/GMT+8",
    "UTC-02": "Etc/GMT+2",
    "UTC+12": "Etc/GMT-12",
    "UTC+13": "Etc/GMT-13",
    "Russia Time Zone 3": "Europe/Samara",
    "Russia Time Zone 10": "Asia/Srednekolymsk",
    "Russia Time Zone 11": "Asia/Kamchatka",
}


@cache
def _names() -> dict[str, str]:
    zones = dict(_OTHERS)
    for area, pairs in _AREAS.items():
        for pair in pairs.split():
            name, _, city = pair.partition("=")
            zones[f"{name.replace('_', ' ')} Standard Time"] = f"{area}/{city}"
    return {name.lower(): zone for name, zone in zones.items()}


def zone_of(name: str) -> tzinfo:
    """The time zone of a name such as `Pacific Standard Time`.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(_names()[name.strip().lower()])
    except (KeyError, ZoneInfoNotFoundError):
        raise ValueError(
            f"{name!r} is no time zone by the names of Windows, such as 'Pacific Standard Time'"
        ) from None


def to_utc(moment: datetime, name: str) -> datetime:
    """A naive local time of a zone as naive UTC; an hour that is there twice is the first."""
    return moment.replace(tzinfo=zone_of(name)).astimezone(UTC).replace(tzinfo=None)


def from_utc(moment: datetime, name: str) -> datetime:
    """A naive time in UTC as naive local time of a zone."""
    return moment.replace(tzinfo=UTC).astimezone(zone_of(name)).replace(tzinfo=None)
