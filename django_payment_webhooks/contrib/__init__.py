"""What lives beside the core: each module is loaded by ``PAYMENT_WEBHOOKS_EXTENSIONS`` or imported by the host."""
