"""The webhook's addresses: ``payment`` for the default provider, ``payment/<name>`` for any."""

try:
    from django.urls import re_path
except ImportError:  # Django 1.11
    from django.conf.urls import url as re_path

from .views import receive_webhook

app_name = "payment_webhooks"
urlpatterns = [
    re_path(r"^payment/?$", receive_webhook, name="receive"),
    re_path(r"^payment/(?P<provider>[-\w]+)/?$", receive_webhook, name="receive_from"),
]
