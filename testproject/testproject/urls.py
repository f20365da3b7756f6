"""The shop's addresses."""

from django.conf import settings
from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.utils.module_loading import import_string

from django_payment_webhooks.monitoring.health import health

try:
    from django.urls import include, re_path
except ImportError:  # Django 1.11
    from django.conf.urls import include
    from django.conf.urls import url as re_path

urlpatterns = [
    re_path(r"^v1/webhooks/", include("django_payment_webhooks.urls")),
    re_path(r"^admin/", admin.site.urls),
    re_path(r"^health$", health),
    # The admin's style sheets, without another server beside this one. Good enough for a test
    # project.
    re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}),
]

if settings.METRICS:
    show_metrics = import_string(
        "django_payment_webhooks.contrib.prometheus.exposition.show_metrics"
    )
    urlpatterns.append(re_path(r"^metrics$", show_metrics))
