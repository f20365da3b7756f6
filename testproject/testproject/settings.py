"""The shop's settings.

Everything that differs between two places comes from the environment: see .env.example.
"""

import importlib.util
import os
import sys

import django
import environ
from django.db.backends.signals import connection_created

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

env = environ.Env()
if os.path.exists(env.str("ENV_FILE", os.path.join(BASE_DIR, ".env"))):
    env.read_env(env.str("ENV_FILE", os.path.join(BASE_DIR, ".env")))

# Where the shop keeps what it writes when no service is configured: the SQLite file and the queue's
# folders.
VAR_DIR = os.path.abspath(env.str("VAR_DIR", os.path.join(BASE_DIR, "var")))

SECRET_KEY = env.str("SECRET_KEY")
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_payment_webhooks",
    "django_payment_webhooks.history.apps.HistoryConfig",
    "django_payment_webhooks.operations.backfill.apps.BackfillConfig",
    "shop",
]

if env.bool("UNFOLD", False):
    # The admin in the clothes of django-unfold, which must come before Django's own.
    INSTALLED_APPS.insert(0, "unfold")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": env.db("DATABASE_URL", "sqlite:///" + os.path.join(VAR_DIR, "shop.sqlite3"))
}
DATABASE = DATABASES["default"]
DATABASE["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", 60)
OPTIONS = DATABASE.setdefault("OPTIONS", {})
if DATABASE["ENGINE"].endswith("sqlite3"):
    os.makedirs(VAR_DIR, exist_ok=True)
    OPTIONS["timeout"] = 20
    if django.VERSION >= (5, 1):
        # A transaction takes its write lock at once, instead of failing when it needs it.
        OPTIONS["transaction_mode"] = "IMMEDIATE"
elif DATABASE["ENGINE"].endswith("mysql"):
    if not importlib.util.find_spec("MySQLdb"):
        # Without mysqlclient, which needs a compiler, PyMySQL takes its place.
        importlib.import_module("pymysql").install_as_MySQLdb()
    OPTIONS["charset"] = "utf8mb4"
    # Django's own default since 2.0; MySQL's would be REPEATABLE READ.
    level = env.str("MYSQL_ISOLATION_LEVEL", "READ COMMITTED")
    OPTIONS["init_command"] = f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"


def prepare_sqlite(connection, **_):
    """Let readers and one writer work at once, and keep old Django from spoiling the schema."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = NORMAL")
            if django.VERSION < (2, 1, 5):
                cursor.execute("PRAGMA legacy_alter_table = ON")


connection_created.connect(prepare_sqlite, dispatch_uid="testproject.prepare_sqlite")

AUTH_PASSWORD_VALIDATORS = []
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

# ---- the queue

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "filesystem://localhost")
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
# For how many tasks a worker keeps its database connections.
CELERY_DB_REUSE_MAX = 1000
CELERY_TASK_DEFAULT_QUEUE = env.str("CELERY_QUEUE", "shop")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Bounds for a broker that is down or silent. Without them a worker can block for minutes.
QUICK_RETRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
if CELERY_BROKER_URL.startswith("filesystem"):
    QUEUE_DIR = os.path.join(VAR_DIR, "queue")
    CONTROL_DIR = os.path.join(VAR_DIR, "control")
    for folder in (QUEUE_DIR, CONTROL_DIR):
        os.makedirs(folder, exist_ok=True)
    CELERY_BROKER_TRANSPORT = "django_payment_webhooks.contrib.folders.Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": QUEUE_DIR,
        "data_folder_out": QUEUE_DIR,
        "control_folder": CONTROL_DIR,
        "polling_interval": 0.1,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = dict(
        QUICK_RETRIES, socket_timeout=1, socket_connect_timeout=1
    )
elif CELERY_BROKER_URL.startswith(("amqp", "pyamqp")):
    CELERY_BROKER_TRANSPORT_OPTIONS = dict(
        QUICK_RETRIES, confirm_publish=True, read_timeout=1, write_timeout=1
    )

# ---- payment webhooks

TIMED_SECRETS = env.list("PAYMENT_WEBHOOKS_SECRETS_TIMED", default=[])
PAYMENT_WEBHOOKS_PROVIDERS = {
    "default": {"SECRETS": env.list("PAYMENT_WEBHOOKS_SECRETS", default=[])},
    # A second partner who signs the time as well, against replays.
    "timed": {
        "SECRETS": TIMED_SECRETS or env.list("PAYMENT_WEBHOOKS_SECRETS", default=[]),
        # With the same secrets it is the first partner, at another address.
        "ACCOUNT": "timed" if TIMED_SECRETS else "default",
        "SIGNATURE_PATTERN": r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)",
        "SIGNATURE_TEMPLATE": "t={timestamp},v1={signature}",
        "TIMESTAMP_PATTERN": r"(?:\A|,)t=([^,]*)",
        "CONTENT": "{timestamp}.{body}",
    },
    # Real providers, by their presets: as JSON, so that each place has those that it needs.
    **env.json("PRESETS", default={}),
}
PAYMENT_WEBHOOKS_HANDLERS = {
    # By the environment, so that another one can be deployed.
    "charge.succeeded": env.str("CHARGE_HANDLER", "shop.handlers.MarkOrderPaid"),
    "refund.created": "shop.handlers.RecordRefund",
    "refund.failed": "shop.handlers.UndoRefund",
    "dispute.opened": "shop.handlers.OpenDispute",
}
# Who is asked for what webhooks have missed: see shop/sources.py.
PAYMENT_WEBHOOKS_SOURCES = {
    name: "shop.sources.Stripe"
    for name, options in PAYMENT_WEBHOOKS_PROVIDERS.items()
    if options.get("PRESET") == "stripe"
}
# Metrics for Prometheus, at /metrics.
METRICS = env.bool("METRICS", False)
if METRICS:
    PAYMENT_WEBHOOKS_EXTENSIONS = ["django_payment_webhooks.contrib.prometheus"]
for name, read in [
    ("MAX_BODY_SIZE", env.int),
    ("MAX_EVENTS", env.int),
    ("MAX_JSON_DEPTH", env.int),
    ("MAX_JSON_VALUES", env.int),
    ("MESSAGE_SIZE", env.int),
    ("TASK_TIME", env.float),
    ("PUBLISH_PAUSE", env.float),
    ("SWEEP_INTERVAL", env.float),
    ("SWEEP_BATCH", env.int),
    ("SWEEP_GRACE", env.float),
    ("SWEEP_CEILING", env.float),
    ("LEASE", env.float),
    ("WAIT_DEADLINE", env.float),
    ("MAX_ATTEMPTS", env.int),
    ("BACKOFF_BASE", env.float),
    ("BACKOFF_CEILING", env.float),
]:
    if "PAYMENT_WEBHOOKS_" + name in os.environ:
        globals()["PAYMENT_WEBHOOKS_" + name] = read("PAYMENT_WEBHOOKS_" + name)

# ---- the shop

# The warehouse that ships paid orders. Without an address it is not called.
DOWNSTREAM_URL = env.str("DOWNSTREAM_URL", "")
DOWNSTREAM_TIMEOUT = env.float("DOWNSTREAM_TIMEOUT", 5)
# Where providers are asked whose webhooks prove too little, and as whom: see shop/confirmations.py.
YOOKASSA_URL = env.str("YOOKASSA_URL", "https://api.yookassa.ru/v3")
YOOKASSA_AUTHORIZATION = env.str("YOOKASSA_AUTHORIZATION", "")
MOLLIE_URL = env.str("MOLLIE_URL", "https://api.mollie.com/v2")
MOLLIE_AUTHORIZATION = env.str("MOLLIE_AUTHORIZATION", "")
STRIPE_URL = env.str("STRIPE_URL", "https://api.stripe.com")
STRIPE_API_KEY = env.str("STRIPE_API_KEY", "")

LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {
        # The level is here as well, because Django's own loggers have theirs.
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "stream": sys.stderr,
            "level": LOG_LEVEL,
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
}
