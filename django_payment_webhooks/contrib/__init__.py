"""Adapters to other people's packages. Name what you want in ``PAYMENT_WEBHOOKS_EXTENSIONS``."""
