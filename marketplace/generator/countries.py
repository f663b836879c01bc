"""Countries of users: French names, codes, main languages and weights."""

from typing import NamedTuple


class Country(NamedTuple):
    """A country as the export writes it; `weight` is relative to the others."""

    name: str
    code: str
    language: str
    weight: int


COUNTRIES = (
    Country("France", "fr", "fr", 25000),
    Country("Etats-Unis", "us", "en", 20500),
    Country("Royaume-Uni", "gb", "en", 11300),
    Country("Italie", "it", "it", 8000),
    Country("Allemagne", "de", "de", 6500),
    Country("Espagne", "es", "es", 5700),
    Country("Australie", "au", "en", 2700),
    Country("Danemark", "dk", "en", 1900),
    Country("Suède", "se", "en", 1800),
    Country("Belgique", "be", "fr", 1700),
    Country("Canada", "ca", "en", 1600),
    Country("Pays-Bas", "nl", "en", 1500),
    Country("Suisse", "ch", "fr", 860),
    Country("Hong Kong", "hk", "en", 850),
    Country("Finlande", "fi", "en", 660),
    Country("Autriche", "at", "de", 620),
    Country("Russie", "ru", "en", 490),
    Country("Irlande", "ie", "en", 450),
    Country("Chine", "cn", "en", 430),
    Country("Roumanie", "ro", "en", 330),
    Country("Singapour", "sg", "en", 260),
    Country("Grèce", "gr", "en", 230),
    Country("Portugal", "pt", "en", 210),
    Country("Pologne", "pl", "en", 190),
    Country("Mexique", "mx", "es", 190),
    Country("Norvège", "no", "en", 180),
    Country("Maroc", "ma", "fr", 170),
    Country("Japon", "jp", "en", 165),
    Country("Inde", "in", "en", 155),
    Country("Arabie Saoudite", "sa", "en", 145),
    Country("Corée du Sud", "kr", "en", 140),
    Country("Taiwan", "tw", "en", 135),
    Country("Émirats arabes unis", "ae", "en", 130),
    Country("Malaisie", "my", "en", 120),
    Country("Croatie", "hr", "en", 115),
    Country("Luxembourg", "lu", "fr", 110),
    Country("Turquie", "tr", "en", 105),
    Country("Brésil", "br", "en", 95),
    Country("Tunisie", "tn", "fr", 85),
    Country("Afrique du Sud", "za", "en", 85),
    Country("Bulgarie", "bg", "en", 80),
    Country("Algérie", "dz", "fr", 75),
    Country("Hongrie", "hu", "en", 60),
    Country("République tchèque", "cz", "en", 55),
    Country("Réunion", "re", "fr", 50),
    Country("Lettonie", "lv", "en", 48),
    Country("Côte d'Ivoire", "ci", "fr", 20),
    Country("Îles Vierges britanniques", "vg", "en", 5),
)

NAMIBIA = Country("Namibie", "na", "en", 0)
"""Its code `na` is not a null, although some readers treat it as one."""

TURKS_AND_CAICOS = Country("Îles Turques-et-Caïques ", "tc", "en", 0)
"""Ends with a blank at the source."""

GUYANE = Country("Guyane", "gy", "fr", 0)
GUYANA = Country("Guyana", "gy", "en", 0)
"""Two countries, one code."""
