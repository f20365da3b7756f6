#!/usr/bin/env python3
"""Does everything that a developer needs, set-up included: ``python3 dev.py demo`` and ``python3 dev.py test``.

``demo [options]``
    Plays the story of the shop: see ``demo --help``.
``test [--here] [options of pytest]``
    Runs the tests on SQLite, and at the same time on PostgreSQL and on MariaDB if they are there, and those that start
    the shop by themselves. Measures what they cover, and fails if they leave a line of the core out; unless pytest was
    told what to run. With ``--here`` the tests use the packages of this Python, as tox wants it, and nothing is
    measured.
``faults [--minutes N] [--seed S] [--pair NAME ...]``
    Sends webhooks to the shop while it is killed, frozen and cut off from what it needs, on each database and broker.
    Checks that nothing was lost, doubled or left stuck: see ``faults --help``.

All install what they need into ``.venv``, once for each change of the requirements. The environment says where the
services are: ``TEST_POSTGRES_URL``, ``TEST_MYSQL_URL``, ``TEST_RABBITMQ_URL`` and ``TEST_REDIS_URL``. By default they
are looked for on this machine; an empty address means that there is none. With ``REQUIRE_SERVICES=1`` it is a failure
if one is missing, or if a test was skipped for want of one.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "installed")

SERVICES = {
    "PostgreSQL": ("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/payment_webhooks"),
    "MariaDB": ("TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306/payment_webhooks"),
    "RabbitMQ": ("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "Redis": ("TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
}
DATABASES = ("PostgreSQL", "MariaDB")
# Tests that start the shop on every database by themselves, whichever database the other tests
# have. Two runs, as they mostly wait: for a broker that is frozen, for a worker that was killed.
END_TO_END = {"the whole shop": "tests/services/e2e/", "the shop under fire": "tests/faults/"}
# Tests in which no database plays a part, or only as a place to look into: on SQLite alone.
ONCE = "apps architecture checks commands conf docs interfaces logging metrics send_command settings_shop"
ONCE += " signals status testing tracing urls verify_command"
ONCE = ["tests/fuzz", "tests/providers"] + ["tests/test_%s.py" % name for name in ONCE.split()]
# What is optional beside the core. The core is everything else that is directly in the package.
EXTRAS = ("admin", "testing", "pytest_plugin")

# Connects to a service, with the client that the tests use. A database of that name need not be
# there.
PROBE = """
import importlib.util, sys
import environ, kombu, pymysql
url = sys.argv[1]
if url.startswith("postgres"):
    driver = __import__("psycopg" if importlib.util.find_spec("psycopg") else "psycopg2")
    driver.connect(url, dbname="postgres", connect_timeout=3).close()
elif url.startswith("mysql"):
    found = environ.Env.db_url_config(url)
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    pymysql.connect(connect_timeout=3, **{name: found[key] for name, key in names.items() if found[key]}).close()
else:
    options = {"socket_timeout": 3, "socket_connect_timeout": 3} if url.startswith("redis") else {}
    kombu.Connection(url, connect_timeout=3, transport_options=options).ensure_connection(max_retries=1)
"""


# ---- the environment


def constraint_file():
    """Return the versions that were tested on this Python, or on the nearest older one."""
    folder = os.path.join(ROOT, "constraints")
    known = [re.match(r"py(\d)(\d+)\.txt$", name) for name in os.listdir(folder)]
    versions = sorted((int(found.group(1)), int(found.group(2))) for found in known if found)
    return os.path.join(
        folder,
        "py%d%d.txt" % max(version for version in versions if version <= sys.version_info[:2]),
    )


def requirements():
    """Return a digest of all that decides what is installed."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ("pyproject.toml", "setup.py", constraint_file(), "constraints/django.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read(path):
    """Return what is in a file; nothing if there is none."""
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.read()


def quietly(*command, **options):
    """Run a command. Shows what it printed only if it fails, and then ends this program."""
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        sys.exit("This failed: " + " ".join(command))


def runs_this_python(python):
    """Return whether an interpreter is there, has pip, and is of the version that runs this."""
    ask = [python, "-c", "import pip, sys; print(sys.version)"]
    try:
        return (
            subprocess.check_output(ask, stderr=subprocess.DEVNULL).decode().strip() == sys.version
        )
    except (OSError, subprocess.CalledProcessError):
        return False


def install():
    """Return the Python of an environment that has the package and all that the demo and the tests need."""
    python = os.path.join(VENV, "bin", "python")
    if not runs_this_python(python):
        shutil.rmtree(VENV, ignore_errors=True)
    elif read(STAMP) == requirements():
        return python
    started = time.monotonic()
    print("Installing into .venv, for Python %d.%d ..." % sys.version_info[:2], flush=True)
    if not os.path.exists(python):
        create_venv(python)
    # Older ones can't read an extra that names other extras.
    quietly(python, "-m", "pip", "install", "--upgrade", "pip>=21.3")
    tested = ["-c", constraint_file(), "-c", os.path.join(ROOT, "constraints", "django.txt")]
    quietly(python, "-m", "pip", "install", *tested, "-e", ".[test]")
    with open(STAMP, "w") as file:
        file.write(requirements())
    print("Installed in %.0f seconds." % (time.monotonic() - started), flush=True)
    return python


def create_venv(python):
    """Create the environment, also where the distribution has split pip's installer from Python."""
    has_installer = importlib.util.find_spec("ensurepip") is not None
    venv.create(VENV, symlinks=True, with_pip=has_installer)
    if not has_installer:
        where = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        )
        quietly(sys.executable, "-m", "pip", "install", "--target", where.decode().strip(), "pip")


# ---- the demo


def demo(arguments):
    """Play the demo."""
    return subprocess.call([install(), os.path.join(ROOT, "testproject", "demo.py"), *arguments])


# ---- the tests


def find_services(python):
    """Return the addresses of the services that answer, and why the others can't be used."""
    found, missing = {}, {}
    for service, (variable, default) in SERVICES.items():
        url = os.environ.get(variable, default)
        if not url:
            missing[service] = "%s is empty" % variable
            continue
        probe = [python, "-c", PROBE, url]
        done = subprocess.run(
            probe, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
        )
        if done.returncode:
            # The traceback's end, without the indented lines in which some clients go on.
            missing[service] = re.findall(
                r"^\S.*", done.stdout.decode(errors="replace"), re.MULTILINE
            )[-1]
        else:
            found[service] = url
    return found, missing


def run_pytest(name, command, folder, output, **environment):
    """Run the tests once.

    ``command`` starts pytest, ``output`` is a file for what it prints, None for this program's own. Returns its exit
    status, and for each test whether it passed, failed or was skipped.
    """
    report = os.path.join(folder, name + ".xml")
    environment = dict(os.environ, COVERAGE_FILE=os.path.join(folder, "coverage"), **environment)
    # pytest-django names its databases by it: no other checkout, and no line of tox, has the same.
    environment.setdefault("TOX_PARALLEL_ENV", hashlib.sha256(ROOT.encode()).hexdigest()[:8])
    for name in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL"):
        if not environment.get(name):
            environment.pop(name, None)
    command = [*command, "--junitxml=" + report]
    status, outcomes = (
        subprocess.call(command, cwd=ROOT, env=environment, stdout=output, stderr=output),
        {},
    )
    if os.path.exists(report):
        for case in ElementTree.parse(report).iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            skip = case.find("skipped")
            reason = (
                ""
                if skip is None or skip.get("type") == "pytest.xfail"
                else skip.get("message") or "no reason"
            )
            outcomes[case.get("classname"), case.get("name")] = (
                "failed" if bad else reason or "passed"
            )
    return status, outcomes


def run_all(names, run):
    """Do several runs of the tests at once: ``run(name, output)``. Gives each name with what that returned.

    What the first run prints is shown as it goes on, what the others print once they are done.
    """
    with ThreadPoolExecutor(len(names)) as pool, contextlib.ExitStack() as stack:
        outputs = [None] + [stack.enter_context(tempfile.TemporaryFile()) for _ in names[1:]]
        runs = [pool.submit(run, name, output) for name, output in zip(names, outputs)]
        for name, output, done in zip(names, outputs, runs):
            print("\nTests on %s" % name, flush=True)
            result = done.result()
            if output:
                output.seek(0)
                print(output.read().decode(errors="replace"), flush=True)
            yield name, result


def test(arguments):
    """Run all tests, on each database that is there if it plays a part in them. Returns 0 if nothing is wrong."""
    here = arguments[:1] == ["--here"]
    python = sys.executable if here else install()
    arguments = arguments[1:] if here else arguments
    found, missing = find_services(python)
    addresses = {variable: found.get(service, "") for service, (variable, _) in SERVICES.items()}
    everything = not [argument for argument in arguments if not argument.startswith("-")]
    is_measured = everything and not here
    command = (
        [python, "-m", "coverage", "run", "-m", "pytest"]
        if is_measured
        else [python, "-m", "pytest"]
    )
    required = os.environ.get("REQUIRE_SERVICES", "") not in ("", "0")
    started, problems, counts, ran, skipped = time.monotonic(), [], Counter(), set(), {}
    databases = ["SQLite"] + [name for name in DATABASES if name in found]

    with tempfile.TemporaryDirectory() as folder:

        def run(name, output):
            left = (
                []
                if name == "SQLite" and not everything
                else ["--deselect=" + path for path in END_TO_END.values()]
            )
            left += ["--ignore=" + path for path in ONCE if name in DATABASES and everything]
            chosen = [END_TO_END[name]] if name in END_TO_END else left
            environment = dict(
                addresses, DATABASE_URL=found.get(name, ""), DJANGO_SETTINGS_MODULE=""
            )
            return run_pytest(name, command + chosen + arguments, folder, output, **environment)

        for name, (status, outcomes) in run_all(databases + list(END_TO_END) * everything, run):
            if status and not (status == 5 and name in DATABASES and not everything):
                problems.append("Tests failed on %s." % name)
            for case, outcome in outcomes.items():
                is_run = outcome in ("passed", "failed")
                counts[outcome if is_run else "skipped"] += 1
                if is_run:
                    ran.add(case)
                else:
                    skipped[case] = outcome
        if is_measured:
            problems += report_coverage(python, folder)

    left_out = Counter(reason for case, reason in skipped.items() if case not in ran)
    print("\nDatabases: %s." % ", ".join(databases))
    if everything and len(databases) > 1:
        print("On SQLite only, as no database plays a part in them: %s." % ", ".join(ONCE))
    for service, reason in missing.items():
        what = "all tests on it" if service in DATABASES else "the tests that need it"
        print("There is no %s (%s): %s were left out." % (service, reason, what))
    for reason, count in left_out.items():
        print("Left out on every database: %d tests. %s" % (count, reason))
    wanted = [reason for reason in left_out if re.match(r"(Skipped: )?needs ", reason)]
    if required and (missing or wanted):
        problems.append(
            "REQUIRE_SERVICES is set, and something was left out: %s."
            % ", ".join([*missing, *wanted])
        )
    for problem in problems:
        print("FAILED: " + problem)
    total = ", ".join(
        "%d %s" % (counts[word], word) for word in ("failed", "passed", "skipped") if counts[word]
    )
    print(
        "==== %s in %.2fs (all databases) ===="
        % (total or "no tests ran", time.monotonic() - started)
    )
    return 1 if problems else 0


def report_coverage(python, folder):
    """Print what the tests covered, on all databases together. Returns what is wrong with it."""
    environment = dict(os.environ, COVERAGE_FILE=os.path.join(folder, "coverage"))
    coverage = [python, "-m", "coverage"]
    subprocess.call(coverage + ["combine", "--quiet"], cwd=ROOT, env=environment)
    print(flush=True)
    subprocess.call(coverage + ["report"], cwd=ROOT, env=environment)
    omitted = ",".join("*/django_payment_webhooks/%s.py" % name for name in EXTRAS)
    core = [
        "report",
        "--include=*/django_payment_webhooks/*.py",
        "--omit=" + omitted,
        "--fail-under=100",
    ]
    done = subprocess.run(
        coverage + core, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        return ["The tests do not cover the whole core:\n" + done.stdout.decode(errors="replace")]
    print("\nThe core: every line and every branch is covered.")
    return []


# ---- the fault campaign


def faults(arguments):
    """Run the fault campaign on what is there."""
    python = install()
    found, missing = find_services(python)
    for service, reason in missing.items():
        print("There is no %s (%s)." % (service, reason))
    environment = dict(
        os.environ,
        **{variable: found.get(service, "") for service, (variable, _) in SERVICES.items()},
    )
    return subprocess.call(
        [python, "-m", "tests.faults.campaign", *arguments], cwd=ROOT, env=environment
    )


def main():
    """Run the command that is asked for."""
    commands = {"demo": demo, "test": test, "faults": faults}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    try:
        sys.exit(commands[sys.argv[1]](sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
