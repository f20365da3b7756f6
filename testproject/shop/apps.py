"""The shop's Django application."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """A shop with orders, refunds and disputes."""

    name = "shop"
