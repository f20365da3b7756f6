"""Adapters to third-party packages. List those you want in ``PAYMENT_WEBHOOKS_EXTENSIONS``."""
