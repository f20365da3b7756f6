"""Fuzz a target with atheris: ``python tests/fuzz/run.py parser -max_total_time=60``.

What follows the target's name is for libFuzzer: see ``python tests/fuzz/run.py parser -help=1``. It
exits with an error as soon as a promise is broken, and prints the input that broke it.
"""

import importlib
import os
import sys
import tempfile

import atheris

# A refusal is a line in the log, and here are very many.
os.environ["LOG_LEVEL"] = "CRITICAL"
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
with atheris.instrument_imports(include=["django_payment_webhooks", "json"]):
    targets = importlib.import_module("tests.fuzz.targets")


def main():
    """Fuzz the target until something breaks, or until libFuzzer is told to end."""
    target = vars(targets)[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="payment-webhooks-fuzz-") as folder:
        corpus, words = os.path.join(folder, "corpus"), os.path.join(folder, "words")
        os.mkdir(corpus)
        for number, seed in enumerate(targets.SEEDS[target]):
            with open(os.path.join(corpus, str(number)), "wb") as file:
                file.write(seed)
        with open(words, "w") as file:
            file.writelines(
                '"%s"\n' % "".join("\\x%02x" % byte for byte in word) for word in targets.WORDS
            )
        fuzzer = os.fork()  # as libFuzzer ends its process in its own way
        if fuzzer == 0:
            bounds = [
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-artifact_prefix=%s/" % folder,
                "-dict=" + words,
            ]
            atheris.Setup([sys.argv[0], *bounds, *sys.argv[2:], corpus], target)
            atheris.Fuzz()
        status = os.waitpid(fuzzer, 0)[1]
    sys.exit(status != 0)


if __name__ == "__main__":
    main()
