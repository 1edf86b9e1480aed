"""Fixtures that every test may use, and the summary that counts skipped tests by reason."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: several processes share the cores

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"

# A runner that was started in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports rclpy: our tests must not hear another test run on this machine, nor a robot on the network.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)  # DDS has ports for domains 0 to 101
os.environ.setdefault("ROS_LOG_DIR", str(PROJECT / ".pytest_cache" / "ros_log"))

# The same examples on every run; no deadline, since a busy machine is no error.
hypothesis.settings.register_profile("reproducible", derandomize=True, deadline=None)
hypothesis.settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a path under `../shared` to that file or folder.

    Where it is absent the test is skipped with a reason that is counted, or fails under REQUIRE_SHARED=1.
    """

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            reason = f"shared data absent: ../shared/{relative}"
            if os.environ.get("REQUIRE_SHARED") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the source tree."""
    return PROJECT


@pytest.fixture(scope="session")
def source_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the source tree in which packages can be built without leaving traces in the tree itself."""
    copy = tmp_path_factory.mktemp("source") / "clip2scene_ros"
    left_out = (".*", "__pycache__", "*.egg-info", "build", "dist", "install", "log", "demo_out", "runs", "golden")
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*left_out))
    return copy


@pytest.fixture(scope="session")
def wheel(source_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return our wheel, built from the source tree as it is."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(source_copy)], check=True, timeout=120)
    (built,) = out.glob("clip2scene_ros-*.whl")
    return built


def skip_reasons(reports: list[pytest.TestReport]) -> Counter[str]:
    """Count skipped reports by their reason."""
    reasons: Counter[str] = Counter()
    for report in reports:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    return reasons


def pytest_sessionfinish() -> None:
    """Kill what a failed test left running: Python would wait for it at its end."""
    for process in multiprocessing.active_children():
        process.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests passed, failed and were skipped, the skipped ones by reason."""
    stats = terminalreporter.stats
    passed, failed = len(stats.get("passed", [])), len(stats.get("failed", [])) + len(stats.get("error", []))
    reasons = skip_reasons(stats.get("skipped", []))
    terminalreporter.section("passed, failed, skipped by reason")
    terminalreporter.line(f"{passed:5d} passed")
    terminalreporter.line(f"{failed:5d} failed")
    terminalreporter.line(f"{sum(reasons.values()):5d} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:11d} {reason}")
