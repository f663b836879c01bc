"""Categories, brands, colours and conditions of products, with their weights."""

from typing import NamedTuple


class Category(NamedTuple):
    """A category of products.

    `price` is the median in cents, `spread` the sigma of its logarithm; `season` has the demand in
    percent for each quarter from winter (December to February) on; `returned` is the percentage
    of returned pieces.
    """

    name: str
    audience: str
    weight: int
    price: int
    spread: float
    season: tuple[int, int, int, int]
    returned: int
    nouns: tuple[str, ...]
    sizes: tuple[str, ...] = ()


_LETTERS = ("XS", "S", "S", "M", "M", "M", "L", "L", "XL")
_SHOES = ("36", "37", "38", "38", "39", "39", "40", "41")
_MEN_SHOES = ("40", "41", "42", "42", "43", "43", "44", "45")
_AGES = ("2Y", "4Y", "6Y", "8Y", "10Y", "12Y")

CATEGORIES = (
    Category("dresses", "women", 150, 6_500, 0.85, (70, 120, 150, 85), 14,
             ("dress", "midi dress", "evening dress"), _LETTERS),
    Category("tops", "women", 130, 3_200, 0.75, (85, 110, 125, 95), 9,
             ("blouse", "shirt", "top"), _LETTERS),
    Category("knitwear", "women", 80, 4_800, 0.7, (150, 75, 45, 140), 9,
             ("jumper", "cardigan"), _LETTERS),
    Category("coats", "women", 70, 12_500, 0.8, (160, 70, 30, 150), 11,
             ("coat", "trench coat", "jacket"), _LETTERS),
    Category("trousers", "women", 90, 4_500, 0.7, (100, 100, 95, 105), 13,
             ("trousers", "jeans", "skirt"), _LETTERS),
    Category("shoes", "women", 160, 9_000, 0.9, (95, 110, 105, 105), 16,
             ("boots", "pumps", "sandals", "trainers"), _SHOES),
    Category("bags", "women", 180, 18_000, 1.05, (115, 100, 90, 105), 6,
             ("handbag", "tote", "clutch")),
    Category("jewellery", "women", 60, 7_500, 1.1, (135, 100, 85, 95), 5,
             ("necklace", "ring", "earrings")),
    Category("swimwear", "women", 20, 3_000, 0.6, (30, 140, 230, 40), 8,
             ("swimsuit", "bikini"), _LETTERS),
    Category("men_tops", "men", 70, 3_800, 0.7, (90, 105, 115, 95), 8,
             ("shirt", "polo", "T-shirt"), _LETTERS),
    Category("men_coats", "men", 35, 11_000, 0.75, (155, 70, 30, 150), 9,
             ("coat", "parka", "jacket"), _LETTERS),
    Category("men_shoes", "men", 60, 9_500, 0.8, (100, 100, 100, 105), 14,
             ("trainers", "boots", "loafers"), _MEN_SHOES),
    Category("watches", "men", 25, 42_000, 1.2, (140, 95, 85, 95), 4,
             ("watch", "chronograph")),
    Category("children", "children", 55, 2_200, 0.6, (100, 100, 95, 115), 7,
             ("jacket", "dress", "dungarees"), _AGES),
)  # fmt: skip


SIZE_SYSTEMS = (_LETTERS, _SHOES, _MEN_SHOES, _AGES)
"""Each user has a body size in each of them."""

SIZES = tuple(dict.fromkeys(size for system in SIZE_SYSTEMS for size in system))
"""All sizes."""


class Brand(NamedTuple):
    """A fictional brand: `tier` 0 is cheap, 3 is luxury."""

    name: str
    tier: int
    weight: int


BRANDS = (
    Brand("Maison Verel", 3, 60), Brand("Lucca Ferrante", 3, 48), Brand("Atelier Brume", 3, 36),
    Brand("Oriane de Sault", 3, 22), Brand("Castelmar", 3, 15), Brand("Vidal & Roche", 3, 9),
    Brand("Nordhavn", 2, 70), Brand("Sœurs Delmas", 2, 58), Brand("Ines Calder", 2, 44),
    Brand("Quai 21", 2, 40), Brand("Bellerive", 2, 33), Brand("Tessuto Nero", 2, 27),
    Brand("Harlow Finch", 2, 21), Brand("Montaury", 2, 14), Brand("Edda Lund", 2, 10),
    Brand("Petit Matin", 1, 95), Brand("Rue Oberkampf", 1, 80), Brand("Jonquille", 1, 62),
    Brand("Kestrel", 1, 50), Brand("Alma Rosso", 1, 41), Brand("Blue Harbour", 1, 33),
    Brand("Fjordline", 1, 25), Brand("Lindengrün", 1, 18), Brand("Côté Marais", 1, 12),
    Brand("Basique", 0, 120), Brand("Ola Ola", 0, 90), Brand("Streetwell", 0, 70),
    Brand("Trendo", 0, 52), Brand("Primavera", 0, 38), Brand("Daily Thread", 0, 26),
    Brand("No. 9", 0, 17), Brand("Kip", 0, 10),
)  # fmt: skip

TIER_PERCENT = (45, 90, 175, 420)
"""Percentage of a category's price by tier."""

COLOURS = (
    ("black", 26), ("white", 12), ("navy", 10), ("beige", 9), ("grey", 8), ("brown", 8),
    ("red", 6), ("pink", 5), ("green", 5), ("blue", 5), ("camel", 3), ("gold", 2), ("purple", 1),
)  # fmt: skip

CONDITIONS = (("new", 14, 100), ("like_new", 28, 85), ("good", 42, 65), ("worn", 16, 40))
"""Name, weight, and percentage of the price of a new piece."""

STYLES = 8
"""Number of latent style dimensions of users and brands."""
