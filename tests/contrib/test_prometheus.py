"""The metrics: what they count, what bounds their labels, and the rules that are made of them."""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.test import RequestFactory
from django.utils import timezone
from prometheus_client import REGISTRY

from django_payment_webhooks import history as door
from django_payment_webhooks import signals
from django_payment_webhooks.contrib import prometheus
from django_payment_webhooks.contrib.prometheus import exposition, gauges, metrics
from django_payment_webhooks.history.models import Sweep
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.backfill.models import Run
from django_payment_webhooks.operations.resolve import resolve

from ..doubles import handle
from ..factories import SECRET, EventFactory
from ..test_docs import read

pytestmark = pytest.mark.django_db(transaction=True)
RUNBOOKS = (
    "https://github.com/django-payment-webhooks/django-payment-webhooks/blob/main/docs/howto/"
    "runbooks.md"
)
RULES = os.path.join(os.path.dirname(metrics.__file__), "alerts.yml")


def sample(name, **labels):
    """Return a sample's value, 0 if there is none."""
    return REGISTRY.get_sample_value("payment_webhooks_" + name, labels) or 0


def scrape():
    """Return what Prometheus would read."""
    return exposition.show_metrics(RequestFactory().get("/metrics")).content.decode()


def test_answers_and_attempts_are_counted(order, webhook, run_due):
    accepted = {"provider": "default", "status": "200", "reason": ""}
    forged = {"provider": "default", "status": "401", "reason": "mismatch"}
    done = {"provider": "default", "type": "charge.succeeded", "outcome": "processed"}
    series = [
        ("answer_seconds_count", accepted),
        ("answer_seconds_count", forged),
        ("event_attempts_total", done),
    ]
    before = [sample(name, **labels) for name, labels in series]
    webhook(order_id="A1")
    webhook(signature="0" * 64)
    assert run_due()
    assert [sample(name, **labels) for name, labels in series] == [count + 1 for count in before]
    assert sample("last_webhook_timestamp_seconds", provider="default") > 0


def test_there_is_a_bucket_at_200_milliseconds():
    assert 'payment_webhooks_answer_seconds_bucket{le="0.2"' in scrape()


def test_nothing_from_outside_makes_a_series(webhook, run_due):
    webhook(event_id="evt_1", type="a.type.from.outside")
    webhook(provider="somebody-from-outside")
    run_due()
    facts = {
        "provider": "default",
        "status": 400,
        "reason": "a-reason-from-outside",
        "seconds": 0.1,
    }
    signals.webhook_rejected.send(None, **facts)
    signals.event_conflicted.send(Event, event=EventFactory(type="a.type.from.outside"), other=None)
    text = scrape()
    assert "from" not in re.sub("(?m)^# .*", "", text)
    for labels in ('type="other"', 'provider="unknown"', 'reason="other"'):
        assert labels in text


def test_the_reasons_are_those_of_the_reference():
    shown = re.findall(r"^\| \d+ \| `(\w+)` \|", read("reference", "http.md"), re.M)
    assert set(shown) == metrics.REASONS


def test_the_backlog_is_read_when_it_is_scraped(webhook, run_due, pass_time):
    webhook(event_id="evt_1", type="refund.created", refund_id="re_1", amount="1.00")
    pass_time(100)
    text = scrape()
    assert 'payment_webhooks_events{status="received"} 1.0' in text
    assert "payment_webhooks_due_events 1.0" in text
    (age,) = re.findall(r"^payment_webhooks_due_events_age_seconds (\S+)", text, re.M)
    assert float(age) >= 100
    run_due()
    assert 'payment_webhooks_events{status="waiting"} 1.0' in scrape()
    pass_time(2 * 24 * 60 * 60)
    assert "payment_webhooks_waiting_past_half_events 1.0" in scrape()


def gauge(name, **labels):
    """Return the values of a gauge as it is scraped, by those of its labels that are not given."""
    found = re.findall(rf"^payment_webhooks_{name}(?:{{(.*)}})? (\S+)$", scrape(), re.M)
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return [float(value) for text, value in found if all(each in text for each in wanted)]


@pytest.mark.usefixtures("history")
def test_failures_are_measured_by_cause_until_an_operator_acts(order, settings, webhook, run_due):
    handle(settings, apply=lambda self, event: {}["warehouse_id"])
    webhook(event_id="evt_1", order_id="A1", amount="10.00", currency="EUR")
    run_due()
    facts = {"exception": "KeyError", "providers": "default", "types": "charge.succeeded"}
    assert gauge("cause_events", state="retrying", bug="yes", acknowledged="no", **facts) == [1]
    assert gauge("cause_events", state="failed", **facts) == [0]
    assert len(gauge("cause_retrying_age_seconds", **facts)) == 1
    assert gauge("retrying_events") == [1]
    event = Event.objects.get()
    event.finish(Event.FAILED, event.error, event.cause_key)
    assert gauge("cause_events", state="failed", **facts) == [1]
    assert gauge("cause_retrying_age_seconds") == []
    assert door.acknowledge(event.cause_key, "alice", "known", event.pk, 1)
    assert gauge("cause_events", state="failed", acknowledged="yes") == [1]
    resolve(Event.objects.get(), "alice", "by hand")
    assert gauge("cause_events") == []


def test_no_label_of_a_cause_comes_from_outside():
    facts = {"due_at": None, "cause_key": "c" * 32, "status": Event.FAILED}
    EventFactory(type="from.outside", provider="from-outside", error="From('outside')", **facts)
    (line,) = re.findall(r"^payment_webhooks_cause_events{(.*state=\"failed\".*)}", scrape(), re.M)
    assert "outside" not in line
    assert 'types="other"' in line
    assert 'providers="unknown"' in line


def test_a_sweep_and_the_broker_are_measured(monkeypatch):
    assert gauge("last_sweep_timestamp_seconds") == []
    Sweep.objects.create(pk=1, finished_at=timezone.now(), enqueued=0)
    assert abs(gauge("last_sweep_timestamp_seconds")[0] - time.time()) < 60
    monkeypatch.setattr(gauges, "is_broker_reachable", lambda: False)
    assert gauge("broker_reachable") == [0]


def test_a_key_that_is_being_rotated_out_is_counted_by_its_number(settings, webhook):
    new, old = "the new secret of the partner", SECRET
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"SECRETS": [new, old]}}
    before = sample("verified_total", provider="default", key="2")
    webhook(event_id="evt_1")
    webhook(event_id="evt_1")
    assert sample("verified_total", provider="default", key="2") == before + 1
    assert metrics.find_key_number("default", "no such fingerprint") == "other"
    assert metrics.find_key_number("gone", "no such provider") == "other"


def test_a_database_that_is_away_does_not_stop_the_scrape(monkeypatch, caplog):
    def fail():
        raise DatabaseError("It is away.")

    monkeypatch.setattr(gauges, "read_backlog", fail)
    text = scrape()
    assert "It is away." in caplog.text
    assert "payment_webhooks_backlog_readable 0.0" in text
    assert "payment_webhooks_due_events" not in text
    assert "payment_webhooks_answer_seconds_bucket" in text


def test_a_scrape_does_not_wait_for_a_database_that_is_silent(monkeypatch):
    go_on, asked = threading.Event(), []

    def wait():
        asked.append(threading.current_thread())
        go_on.wait(30)
        raise DatabaseError("It was locked.")

    monkeypatch.setattr(gauges, "read_backlog", wait)
    monkeypatch.setattr(exposition, "TIMEOUT", 0.05)
    try:
        for _ in range(3):
            assert "payment_webhooks_backlog_readable 0.0" in scrape()
        assert len(asked) == 1, "Each scrape left a thread behind."
    finally:
        go_on.set()
        asked[0].join(30)


def test_a_webhook_whose_view_raises_is_counted(settings, webhook, client):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": {"NO_SUCH_OPTION": 1}}
    before = sample("answer_errors_total", provider="default")
    with pytest.raises(ImproperlyConfigured):
        webhook(event_id="evt_1")
    assert sample("answer_errors_total", provider="default") == before + 1


def test_the_oldest_event_that_is_unfinished_is_measured(webhook, pass_time):
    assert gauge("unfinished_events_age_seconds") == [0]
    received = timezone.now() - datetime.timedelta(hours=2)
    EventFactory(status=Event.APPLIED, received_at=received)
    EventFactory(status=Event.WAITING, received_at=received - datetime.timedelta(hours=1))
    (age,) = gauge("unfinished_events_age_seconds")
    assert 7200 <= age < 7300


COUNT = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django_payment_webhooks"], SECRET_KEY="x", USE_TZ=True,
                   DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                                          "NAME": ":memory:"}},
                   PAYMENT_WEBHOOKS_EXTENSIONS=["django_payment_webhooks.contrib.prometheus"],
                   PAYMENT_WEBHOOKS_PROVIDERS={"default": {"SECRETS": ["a secret of the partner"]}})
django.setup()
from django.core.management import call_command
from django.core.signals import request_started
from django.test import RequestFactory
from django_payment_webhooks import signals
from django_payment_webhooks.contrib.prometheus import exposition
"""
SERVE = "request_started.send(None)\n"
SEND = 'signals.webhook_received.send(None, provider="default", events=[], seconds=0.1)'
READ = """
from prometheus_client import generate_latest
print(generate_latest(exposition.build_registry()).decode())
"""


@pytest.fixture
def run(tmp_path):
    """Run lines in a process of their own, with a directory for multiprocess mode."""

    def run(lines, directory=tmp_path):
        environ = dict(os.environ, PROMETHEUS_MULTIPROC_DIR=str(directory))
        for name in ("DJANGO_SETTINGS_MODULE", "ENV_FILE"):
            environ.pop(name, None)
        command = [sys.executable, "-c", COUNT + lines]
        done = subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        assert done.returncode == 0, done.stdout.decode()
        return done.stdout.decode()

    return run


def test_what_several_processes_count_is_added_up(run):
    run(SERVE + SEND)
    run(SERVE + SEND)
    text = run(READ)
    assert re.search(
        r'^payment_webhooks_answer_seconds_count\{[^}]*status="200"[^}]*\} 2.0$', text, re.M
    ), text
    assert re.search(
        r'^payment_webhooks_last_webhook_timestamp_seconds\{provider="default"\} 1', text, re.M
    ), text


def test_a_management_command_leaves_no_file_for_every_scrape_to_read(run, tmp_path):
    for _ in range(2):
        run('call_command("check")')
        run(SEND)
    assert os.listdir(tmp_path) == []
    run(SERVE)
    assert os.listdir(tmp_path) != []


CHECK = 'call_command("check")\n'
SHOW = """
request = RequestFactory().get("/metrics")
print(exposition.show_metrics(request).content.decode())
"""


@pytest.mark.parametrize("name", ["missing", "a file"])
def test_a_directory_that_can_not_be_used_is_reported_and_stops_nothing(run, tmp_path, name):
    (tmp_path / "a file").write_text("")
    directory = str(tmp_path / name)
    printed = run(CHECK + SERVE + SEND + SHOW, directory)
    assert "payment_webhooks.W020" in printed
    assert f"{directory!a}, and there is no such directory" in printed
    assert "payment_webhooks_counters_readable 0.0" in printed
    assert "payment_webhooks_backlog_readable" in printed


def test_a_directory_that_is_not_ours_to_write_to_is_a_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert prometheus.check_directory() == []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (warning,) = prometheus.check_directory()
    assert "this user can't write there" in warning.msg


@pytest.mark.parametrize(
    "error", [OSError("No space"), ImportError("No Counter"), ValueError("Twice")]
)
def test_metrics_that_can_not_be_loaded_stop_no_request(monkeypatch, caplog, error):
    def fail(name):
        raise error

    monkeypatch.setattr(prometheus, "import_module", fail)
    start = prometheus.Start()
    start()
    start()
    assert caplog.text.count(repr(error)) == 1


def test_without_prometheus_client_nothing_is_counted_and_nothing_stops(monkeypatch, caplog):
    monkeypatch.setattr(prometheus, "find_spec", lambda name: None)
    (warning,) = prometheus.check_directory()
    assert "prometheus_client is not installed" in warning.msg
    prometheus.Start()()
    assert "prometheus_client is not installed" in caplog.text


def test_nothing_is_written_to_a_disk_that_is_full(monkeypatch, tmp_path, webhook):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    accepted = {"provider": "default", "status": "200", "reason": ""}
    before = sample("answer_seconds_count", **accepted)
    assert webhook(event_id="evt_1").status_code == 200
    assert sample("answer_seconds_count", **accepted) == before
    (warning,) = prometheus.check_directory()
    assert "its disk is full" in warning.msg
    assert "payment_webhooks_counters_readable 0.0" in scrape()


def test_what_a_backfill_found_is_shown_for_a_day():
    now = timezone.now()
    facts = {"since": 0, "until": 1, "checked": 900, "missed": 14}
    for provider, hours in [("default", 2), ("timed", 25)]:
        ended = now - datetime.timedelta(hours=hours)
        Run.objects.create(provider=provider, finished_at=ended, **facts)
    lines = [line for line in scrape().splitlines() if re.match("[^#]*(missed|backfill)_", line)]
    assert lines[:2] == [
        'payment_webhooks_missed_events{provider="default"} 14.0',
        'payment_webhooks_missed_events{provider="timed"} 0.0',
    ]
    assert re.match(
        r'payment_webhooks_last_backfill_timestamp_seconds\{provider="default"\} 1', lines[2]
    )


def test_conflicts_are_measured_until_they_are_closed(webhook, history):
    webhook(event_id="evt_1", amount="1.00")
    assert gauge("open_conflicts", provider="default") == [0]
    webhook(event_id="evt_1", amount="2.00")
    assert gauge("open_conflicts", provider="default") == [1]
    assert gauge("open_conflicts", provider="timed") == [0]
    door.close_conflicts(Event.objects.get(), "alice", "Refunded.")
    assert gauge("open_conflicts", provider="default") == [0]


def test_without_a_history_no_number_of_open_conflicts_is_claimed(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "history" not in app]
    assert gauge("open_conflicts") == []


def load_rules():
    """Return the alert rules."""
    with open(RULES, encoding="utf-8") as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def is_served(name, text):
    """Return whether a scrape has a metric, with samples or without."""
    return re.search(rf"^(# TYPE )?{name}[ {{]", text, re.M)


def test_rules_name_only_metrics_that_exist():
    rules = load_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    text = scrape()
    for rule in rules:
        names = set(re.findall(r"payment_webhooks_\w+", rule["expr"]))
        assert names
        assert all(is_served(name, text) for name in names), names
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


def test_each_alert_links_to_its_runbook_and_no_runbook_is_left_over():
    rules = load_rules()
    page = read("howto", "runbooks.md")
    sections = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    assert list(sections) == [rule["alert"] for rule in rules]
    for rule in rules:
        name = rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"
        text = sections[name]
        assert text.startswith(f"*{rule['labels']['severity'].capitalize()}.* ")
        for part in ("At stake", "Where to look", "What to do", "It is over when"):
            assert f"- **{part}**: " in text, name


def test_an_alert_about_a_cause_says_which_and_whose():
    by_cause = [rule for rule in load_rules() if "by (cause" in rule["expr"]]
    for rule in [each for each in by_cause if not each["expr"].startswith("sum(")]:
        summary = rule["annotations"]["summary"]
        for label in ("cause", "exception", "place"):
            assert f"$labels.{label} " in summary, (rule["alert"], label)
        # They are no labels of the alert: those must not change while it lasts.
        for label in ("providers", "types"):
            assert f'| label "{label}"' in summary, (rule["alert"], label)
    by_provider = [rule for rule in load_rules() if "by (provider" in rule["expr"]]
    assert len(by_provider) > 8
    for rule in by_provider:
        assert "$labels.provider " in rule["annotations"]["summary"], rule["alert"]


def test_promtool_accepts_the_rules():
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("needs promtool, which is in Debian's package prometheus")
    subprocess.check_call([promtool, "check", "rules", RULES])


def load_trials():
    """Return the files of series for promtool by their names: of minutes, hours and days."""
    trials = {}
    for name in ("alerts.yml", "alerts_of_hours.yml", "alerts_of_days.yml"):
        with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
            trials[name] = yaml.safe_load(file)
    return trials


def write_trials(folder, rule):
    """Write the trials of one alert, with its rule alone: promtool evaluates all that it has."""
    name = rule["alert"]
    rules = folder / f"{name}.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    for file_name, trials in load_trials().items():
        chosen = [
            test for test in trials["tests"] if test["alert_rule_test"][0]["alertname"] == name
        ]
        if chosen:
            path = folder / f"{name}.{file_name}"
            path.write_text(yaml.safe_dump(dict(trials, rule_files=[str(rules)], tests=chosen)))
            yield str(path)


@pytest.mark.long
def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("needs promtool, which is in Debian's package prometheus")
    paths = [path for rule in load_rules() for path in write_trials(tmp_path, rule)]
    subprocess.check_call([promtool, "test", "rules", *paths])


@pytest.mark.long
def test_no_alert_fires_for_a_healthy_shop():
    # Hours with a deployment of two minutes and a burst of 10 000; a week with nights and weekends.
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("needs promtool, which is in Debian's package prometheus")
    folder = os.path.dirname(__file__)
    paths = [os.path.join(folder, name) for name in ("healthy_hours.yml", "healthy_week.yml")]
    subprocess.check_call([promtool, "test", "rules", *paths])


def test_each_alert_is_tried_both_ways():
    looks = [
        look
        for trials in load_trials().values()
        for test in trials["tests"]
        for look in test["alert_rule_test"]
    ]
    names = {rule["alert"] for rule in load_rules()}
    assert {look["alertname"] for look in looks if look["exp_alerts"]} == names
    assert {look["alertname"] for look in looks if not look["exp_alerts"]} == names


def test_the_dashboard_can_be_imported_and_names_only_metrics_that_exist():
    with open(os.path.join(os.path.dirname(RULES), "dashboard.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    panels, text = dashboard["panels"], scrape()
    assert len({panel["id"] for panel in panels}) == len(panels) > 8
    assert [variable["type"] for variable in dashboard["templating"]["list"]] == ["datasource"]
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & cells, panel["title"]
        cells |= mine
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            names = set(re.findall(r"payment_webhooks_\w+", target["expr"]))
            assert names
            assert all(is_served(name, text) for name in names), names


def test_each_expression_of_the_dashboard_is_promql(tmp_path):
    if not shutil.which("promtool"):
        pytest.skip("needs promtool, which is in Debian's package prometheus")
    with open(os.path.join(os.path.dirname(RULES), "dashboard.json"), encoding="utf-8") as file:
        expressions = [
            target["expr"] for panel in json.load(file)["panels"] for target in panel["targets"]
        ]
    rules = [
        {"record": "test:r%d" % number, "expr": expression}
        for number, expression in enumerate(expressions)
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    subprocess.check_call(["promtool", "check", "rules", str(path)])
