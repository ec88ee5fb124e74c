"""The categories of the synthetic shop: what is sold in each, and for how much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """A category of products.

    Attributes:
        name: As in the item's `category`.
        low: Lowest price.
        high: Highest price.
        weight: Relative share of the products and of the visits.
        nouns: What its products are called.
    """

    name: str
    low: float
    high: float
    weight: float
    nouns: tuple[str, ...]


CATEGORIES = (
    Category(
        "Electronics", 15, 800, 10, ("Media Player", "Projector", "E-Reader", "Power Station")
    ),
    Category("Smartphones", 150, 1600, 14, ('6.1" Smartphone', '6.7" Smartphone', "5G Phone")),
    Category("Laptops", 400, 3500, 9, ('14" Laptop', '15.6" Laptop', "Ultrabook", "Workstation")),
    Category("Tablets", 120, 1800, 6, ('11" Tablet', '8" Tablet', "Drawing Tablet")),
    Category("Audio", 20, 900, 7, ("Soundbar", "Amplifier", "Turntable", "Microphone")),
    Category("Headphones", 15, 550, 11, ("Wireless Headphones", "Earbuds", "Studio Headphones")),
    Category("Speakers", 25, 900, 6, ("Portable Speaker", "Bookshelf Speakers", "Smart Speaker")),
    Category("Cameras", 120, 4000, 5, ("Mirrorless Camera", "Action Camera", "Instant Camera")),
    Category("Wearables", 30, 900, 7, ("Smartwatch", "Fitness Band", "Smart Ring")),
    Category("Smart Home", 15, 450, 7, ("Thermostat", "Video Doorbell", "Robot Vacuum", "Hub")),
    Category("Gaming", 20, 700, 9, ("Console", "Controller", "Gaming Mouse", "Racing Wheel")),
    Category("Accessories", 5, 120, 9, ("USB-C Cable", "Charger", "Case, Slim", "Laptop Sleeve")),
)

BRANDS = (
    "Voltra",
    "Nordvik",
    "Aurelis",
    "Kestrel",
    "Pixelon",
    "Zenhaus",
    "Orbita",
    "Lumenai",
    "Tacto",
    "Brightwell",
    "Quanta & Co",
    "Miralux",
    "Sonance",
    "Halcyon",
    "Fjord",
)
