"""The command line as its user meets it: with wrong words, broken files and Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import clip2scene
from small_street import WORLD, write_street, write_student

from clip2scene_ros import cli, terminal
from clip2scene_ros.errors import BadBag
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.offline import LABELS
from clip2scene_ros.report.evaluation import read_report, sha256_of
from clip2scene_ros.report.format import KEYS

COMMANDS = ("demo", "world", "segment", "evaluate", "compare", "label", "collect", "inspect", "calibrate", "export")
TRAINERS = ("finetune", "pretrain", "ablate", "train-clip")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
ENVIRONMENT.pop("VIEWER", None)


def in_a_process(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clip2scene_ros.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT)


@pytest.mark.parametrize("script", ["clip2scene", "segment_node", "evaluate_node"])
def test_the_scripts_of_ros2_run_do_nothing_in_worker_processes(script):
    """`spawn` runs the main file again in each of them, under another name."""
    if script != "clip2scene":
        pytest.importorskip("rclpy")
    file = Path(__file__).parents[1] / "scripts" / script
    runpy.run_path(str(file), run_name="__mp_main__")


def assert_one_line_error(run: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert run.returncode == code, run.stderr
    last = run.stderr.splitlines()[-1]
    assert "error: " in last
    for word in words:
        assert word in last
    assert "Traceback" not in run.stderr


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street") / "drive.mcap")


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student") / "random.safetensors")


# ---- help and usage


@pytest.mark.parametrize("words", [["--help"], *([command, "--help"] for command in (*COMMANDS, *TRAINERS))])
def test_help_loads_neither_numpy_nor_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom clip2scene_ros import cli\n"
        f"try:\n    cli.main({words})\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'numpy', 'torch', 'rosbags', 'rclpy', 'PIL', 'tqdm', 'yaml', 'trimesh'} & set(sys.modules)\n"
        "print('loaded:', sorted(heavy))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "loaded: []"


def test_help_names_every_command_and_shows_examples() -> None:
    run = in_a_process("--help")
    assert run.returncode == 0
    for word in (*COMMANDS, *TRAINERS, "examples:", "exit codes:"):
        assert word in run.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_shows_an_example_that_its_own_grammar_accepts(command: str) -> None:
    from clip2scene_ros import arguments

    run = clip2scene(command, "--help")
    assert run.returncode == 0
    examples = [line.split()[1:] for line in run.stdout.splitlines() if line.startswith(f"  clip2scene {command}")]
    assert examples
    for words in examples:
        assert arguments.parse(words).command == command


@pytest.mark.parametrize("command", TRAINERS)
def test_each_trainer_shows_examples_and_options_of_others_that_there_are(command: str) -> None:
    from clip2scene_ros import arguments
    from clip2scene_training import clip_options, options, pretrain_options
    from clip2scene_training.ablation import options as ablation_options

    modules = {"finetune": options, "pretrain": pretrain_options, "ablate": ablation_options}
    parser = modules.get(command, clip_options).parser()
    text = parser.format_help().replace("\\\n", " ")
    examples = [line for line in text.splitlines() if line.startswith(f"  clip2scene {command}")]
    assert examples
    for line in examples:
        parser.parse_args(shlex.split(line, comments=True)[2:])
    for other, option in re.findall(r"`clip2scene (\w+) (--[\w.-]+)`", text):
        assert arguments.parse([other, "bag", "--out", "x", option, "y"]).command == other


def test_help_tells_what_evaluate_writes_and_which_student_the_demo_takes() -> None:
    shown = clip2scene("evaluate", "--help").stdout
    assert all(name in shown for name in ("report.json", "report.html", "evaluation.png"))
    assert "learned without labels" in clip2scene("demo", "--help").stdout


def test_every_setting_of_the_segmenter_is_an_option() -> None:
    from clip2scene_ros import arguments
    from clip2scene_ros.config import SegmenterConfig, settings_of

    words = ["segment", "a", "--out", "b"]
    assert arguments.parse(words).segmenter == SegmenterConfig()
    for name, default, field in settings_of(SegmenterConfig()):
        other = (
            field.metadata["choices"][-1]
            if field.metadata["choices"]
            else {str: "x", int: 3, float: 0.25}.get(type(default))
        )
        other = 2.5 if name == "max_range_m" else other
        args = arguments.parse([*words, f"--{name.replace('_', '-')}", str(other)])
        assert getattr(args.segmenter, name) == other != default


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "required: COMMAND"),
        (("fly",), "invalid choice: 'fly'"),
        (("segment", "bag"), "--out"),
        (("segment", "bag", "--out", "x", "--sped", "3"), "unrecognized arguments: --sped 3"),
        (("segment", "bag", "--out", "x", "--max-range-m", "-4"), "`max_range_m` expects a value in"),
        (("segment", "bag", "--out", "x", "--threads", "many"), "--threads"),
        (("evaluate", "bag", "--out", "x", "--precision", "fp8"), "fp8"),
        (("world", "x.mcap", "--seconds", "nan"), "expected seconds"),
        (("world", "x.mcap", "--seconds", "soon"), "expected seconds"),
        (("world", "x.mcap", "--seed", "-1"), "expected a whole number"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(words: tuple[str, ...], complaint: str) -> None:
    run = clip2scene(*words)
    assert run.returncode == terminal.BAD_USAGE
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr
    assert cli.COMMANDS.keys() >= set(COMMANDS)


# ---- segment


def test_segment_labels_every_cloud_and_says_where(street: Path, student: Path, tmp_path: Path) -> None:
    run = in_a_process("segment", street, "--out", tmp_path / "out.mcap", "--checkpoint", student)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{tmp_path / 'out.mcap'}: 6 clouds labelled\n"
    assert "random weights, for tests only" in run.stderr
    with BagReader(tmp_path / "out.mcap") as bag, BagReader(street) as source:
        assert bag.topics[LABELS][1] == 6
        assert bag.topics.keys() >= source.topics.keys()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.mcap", None, ("No bag at",)),
        ("broken.mcap", b"\x89MCAP0\r\n" + bytes(100), ("broken.mcap", "truncated")),
        ("words.mcap", b"this is no bag", ("words.mcap", "expected an mcap file")),
    ],
)
def test_segment_refuses_what_is_no_bag(
    name: str, content: bytes | None, words: tuple[str, ...], student: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    run = clip2scene("segment", tmp_path / name, "--out", tmp_path / "out.mcap", "--checkpoint", student)
    assert_one_line_error(run, 1, *words)
    assert not (tmp_path / "out.mcap").exists()


def test_segment_never_replaces_a_file_unasked(street: Path, student: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    out.write_bytes(b"precious")
    words = ("segment", street, "--out", out, "--checkpoint", student)
    assert_one_line_error(clip2scene(*words), 1, "out.mcap exists")
    assert out.read_bytes() == b"precious"
    assert clip2scene(*words, "--overwrite").returncode == 0
    with BagReader(out) as bag:
        assert bag.topics[LABELS][1] == 6


def test_segment_refuses_to_replace_its_own_input(street: Path) -> None:
    before = street.read_bytes()
    run = clip2scene("segment", street, "--out", street.parent / "." / street.name, "--overwrite")
    assert_one_line_error(run, 1, "the bag to label itself")
    assert street.read_bytes() == before


def test_segment_names_a_missing_topic_and_a_bad_checkpoint(street: Path, student: Path, tmp_path: Path) -> None:
    words = ("segment", street, "--out", tmp_path / "out.mcap")
    assert_one_line_error(clip2scene(*words, "--checkpoint", student, "--topic", "/lidar"), 1, "/lidar", "/points")
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04pickle")
    assert_one_line_error(clip2scene(*words, "--checkpoint", tmp_path / "bad.safetensors"), 1, "bad.safetensors")


@pytest.fixture(scope="module")
def long_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("long") / "drive.mcap", clouds=150, points=6000)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_segment_leaves_a_readable_bag_when_it_is_stopped(
    sent: signal.Signals, code: int, student: Path, long_street: Path, tmp_path: Path
) -> None:
    words = ["segment", long_street, "--out", tmp_path / "out.mcap", "--checkpoint", student]
    command = [sys.executable, "-m", "clip2scene_ros.cli", *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while sum(f.stat().st_size for f in tmp_path.glob("out.mcap.*.partial/**/*.mcap")) < 2_000_000:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
    process.send_signal(sent)
    out, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted" in error
    assert "Traceback" not in error
    with BagReader(tmp_path / "out.mcap") as bag:
        labelled = bag.topics[LABELS][1]
        assert len(list(bag.messages(LABELS))) == labelled
    assert 0 < labelled < 150
    assert out == f"{tmp_path / 'out.mcap'}: {labelled} clouds labelled\n"


# ---- evaluate


def test_evaluate_writes_the_same_report_each_time(street: Path, student: Path, tmp_path: Path) -> None:
    reports = []
    for name, start in (("one", in_a_process), ("two", clip2scene)):
        run = start("evaluate", street, "--out", tmp_path / name, "--checkpoint", student)
        assert run.returncode == 0, run.stderr
        assert "mIoU" in run.stdout
        reports.append(json.loads((tmp_path / name / "report.json").read_text()))
        assert (tmp_path / name / "evaluation.png").read_bytes().startswith(b"\x89PNG")
        page = (tmp_path / name / "report.html").read_text()
        assert f">{100 * reports[-1]['miou']:.1f}</h1>" in page
        assert page.count("data:image/jpeg") == 1
    first, second = reports
    assert first == read_report(tmp_path / "one" / "report.json")
    assert list(first) == list(KEYS)
    assert list(first["scenes"]) == [street.name]
    assert set(first["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert 0 < first["latency_ms"]["p50"] <= first["latency_ms"]["p99"] <= first["latency_ms"]["max"]
    assert first["frames"] == 6
    assert first["points"] == 3600
    assert first["world"] == WORLD
    assert first["data_sha256"] == sha256_of(street)
    assert first["weights_sha256"] == sha256_of(student)
    assert first["command"].startswith(f"clip2scene evaluate {street} --out {tmp_path / 'one'}")
    present = [value for value in first["iou"].values() if value is not None]
    assert first["miou"] == pytest.approx(sum(present) / len(present), abs=1e-5)
    for name in ("latency_ms", "command"):
        first.pop(name), second.pop(name)
    assert first == second


def test_a_folder_that_cannot_be_made_is_told_before_the_long_work(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    below = clip2scene("evaluate", street, "--out", tmp_path / "file" / "results")
    assert (below.returncode, below.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path / 'file'} is a file: expected a folder for the results (--out DIR)" in below.stderr
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may write everywhere
    barred = clip2scene("evaluate", street, "--out", tmp_path / "results")
    assert (barred.returncode, barred.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path} may not be written: choose another folder" in barred.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_evaluate_asks_for_ground_truth_and_never_replaces_a_report_unasked(
    street: Path, student: Path, tmp_path: Path
) -> None:
    blind = write_street(tmp_path / "blind.mcap", truth=False)
    run = clip2scene("evaluate", blind, "--out", tmp_path / "r", "--checkpoint", student)
    assert_one_line_error(run, 1, "ground truth", "/ground_truth/points")
    assert not (tmp_path / "r").exists()
    assert_one_line_error(clip2scene("evaluate", street, "--out", street), 1, "is a file: expected a folder")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "report.json").write_text("precious")
    run = clip2scene("evaluate", street, "--out", tmp_path / "r", "--checkpoint", student)
    assert_one_line_error(run, 1, "report.json exists")
    assert (tmp_path / "r" / "report.json").read_text() == "precious"


# ---- inspect


def test_inspect_tells_what_a_bag_holds(street: Path) -> None:
    run = clip2scene("inspect", street)
    assert run.returncode == 0, run.stderr
    for words in (
        "0.250 s",
        "/points",
        "sensor_msgs/msg/PointCloud2",
        "intensity    float32 @12",
        "600 points",
        "version boxes",
        "car",
    ):
        assert words in run.stdout


def test_inspect_tells_what_a_checkpoint_and_a_class_set_hold(student: Path, project: Path) -> None:
    run = clip2scene("inspect", student)
    assert run.returncode == 0, run.stderr
    for words in ("random weights, for tests only", "none: learned with labels", "preset tiny", sha256_of(student)):
        assert words in run.stdout
    run = clip2scene("inspect", project / "config" / "classes" / "world.yaml")
    assert "class set world: 15 classes" in run.stdout
    assert "#ebeb" not in run.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.mcap", None, ("There is no",)),
        ("notes.txt", b"hello", ("expected a bag",)),
        ("broken.safetensors", b"\xff" * 40, ("broken.safetensors",)),
        ("broken.yaml", b"classes: [", ("not valid YAML",)),
        ("folder", b"", ("metadata.yaml",)),
    ],
)
def test_inspect_refuses_in_one_line(name: str, content: bytes | None, words: tuple[str, ...], tmp_path: Path) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    assert_one_line_error(clip2scene("inspect", tmp_path / name), 1, *words)


# ---- finetune, pretrain, train-clip


@pytest.mark.parametrize(
    ("command", "option"),
    [("finetune", "--world-seeds"), ("pretrain", "--preset"), ("train-clip", "--photo.close-ups")],
)
def test_trainers_have_their_own_options(command: str, option: str) -> None:
    run = in_a_process(command, "--help")
    assert run.returncode == 0, run.stderr
    assert option in run.stdout


# ---- terminal


def interrupted_loop(signals_at_2: int) -> list[int]:
    """Return the items that are done after Ctrl-C was pressed while the loop was at item 2."""
    done = []

    def loop() -> None:
        for item in terminal.Progress(quiet=True)(range(5), "test"):
            for _ in range(signals_at_2 if item == 2 else 0):
                os.kill(os.getpid(), signal.SIGINT)
            done.append(item)

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return done


def test_ctrl_c_lets_the_item_in_hand_finish() -> None:
    assert interrupted_loop(1) == [0, 1, 2]


def test_a_second_ctrl_c_stops_at_once() -> None:
    assert interrupted_loop(2) == [0, 1]


@terminal.uninterrupted()
def swallow_ctrl_c(done: list[str]) -> None:
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the import")
    done.append("the rest")


def test_a_signal_that_would_be_swallowed_comes_afterwards() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        swallow_ctrl_c(done)
    assert done == ["the import", "the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_is_not_interrupted_anyway() -> None:
    done = []

    def work() -> None:
        with terminal.uninterrupted():
            done.append("work")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["work"]


def test_a_signal_while_trimesh_is_imported_ends_the_program() -> None:
    program = (
        "import builtins, os, signal, sys\n"
        "plain = builtins.__import__\n"
        "def importing(name, *rest):\n"
        "    if name == 'networkx':  # which trimesh looks for, whatever is raised\n"
        "        builtins.__import__ = plain\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return plain(name, *rest)\n"
        "builtins.__import__ = importing\n"
        "import clip2scene_training.world.mesh\n"
        "print('not interrupted', builtins.__import__ is plain)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == -signal.SIGINT


class Screen(io.StringIO):
    """A stderr that is, or is not, a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "quiet", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_bars_are_shown_on_a_terminal_only_and_not_with_quiet(
    is_terminal: bool, quiet: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(terminal.Progress(quiet)(range(3), "scans", 3)) == [0, 1, 2]
    with terminal.Progress(quiet).counter("sweeps") as bar:
        bar(1, 4)
        bar(4, 4)
    for words in ("scans: 100%", "3/3", "sweeps: 100%", "4/4"):
        assert (words in screen.getvalue()) == shown


def raising(error: BaseException) -> object:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (BadBag("x", "That is no bag."), 1, "clip2scene: error: That is no bag.\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "clip2scene: error: No such file: a.txt\n"),
        (ModuleNotFoundError("no", name="rclpy.node"), 1, "pip install '.[ros]'"),
        (ModuleNotFoundError("no", name="viser"), 1, "pip install '.[viewer]'"),
        (ModuleNotFoundError("no", name="embreex"), 1, "pip install '.[train]'"),
        (ZeroDivisionError("by\nzero"), 1, "unexpected ZeroDivisionError: by zero (CLIP2SCENE_DEBUG=1 shows where)\n"),
        (KeyboardInterrupt(), 130, "clip2scene: interrupted.\n"),
        (terminal.Terminated(), 143, "clip2scene: interrupted.\n"),
    ],
)
def test_every_failure_is_one_line_and_a_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(terminal.DEBUG_VARIABLE, raising=False)
    assert terminal.run(raising(error)) == code  # type: ignore[arg-type]
    shown = capsys.readouterr().err
    assert text in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("code", [terminal.OK, terminal.WORSE])
def test_a_reader_that_has_seen_enough_does_not_change_the_exit_code(code: int) -> None:
    program = f"from clip2scene_ros.terminal import run, say; raise SystemExit(run(lambda: say('text') or {code}))"
    reader, pipe = os.pipe()
    os.close(reader)  # as `| head` does
    try:
        done = subprocess.run([sys.executable, "-c", program], stdout=pipe, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(pipe)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_pipe_that_breaks_elsewhere_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(raising(BrokenPipeError(32, "Broken pipe"))) == 1  # type: ignore[arg-type]
    assert capsys.readouterr().err == "clip2scene: error: Broken pipe\n"


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(terminal.DEBUG_VARIABLE, "1")
    assert terminal.run(raising(ZeroDivisionError("oh"))) == 1  # type: ignore[arg-type]
    assert "Traceback" in capsys.readouterr().err


def test_every_extra_that_an_error_names_exists(project: Path) -> None:
    import configparser

    setup = configparser.ConfigParser()
    setup.read(project / "setup.cfg")
    assert set(terminal.EXTRAS.values()) <= set(setup["options.extras_require"])


# ---- classes in one's own words


def test_segment_takes_classes_in_ones_own_words(street: Path, student: Path, tmp_path: Path) -> None:
    from clip2scene_ros.classes import load_class_set, parse_words
    from clip2scene_ros.io.pointcloud import unpack_labels
    from clip2scene_ros.offline import CLASS_SET

    words, world = "road, street; Car, truck, bus", load_class_set("world")
    renamed = [1 if name in ("car", "truck", "bus") else 255 for name in world.names] + [255] * 241
    renamed[world.index("driveable surface")] = 0
    labels = {}
    for name, options in (("own", ()), ("mine", ("--classes", words))):
        out = tmp_path / f"{name}.mcap"
        run = clip2scene("segment", street, "--out", out, "--checkpoint", student, *options)
        assert run.returncode == 0, run.stderr
        with BagReader(out) as bag:
            labels[name] = [unpack_labels(message)[1].class_id.tolist() for _, message in bag.messages(LABELS)]
            said = [message.data for _, message in bag.messages(CLASS_SET)]
    assert said == [parse_words(words).to_json()]
    assert labels["mine"] == [[renamed[i] for i in scan] for scan in labels["own"]]


@pytest.mark.parametrize("command", ["segment", "evaluate"])
def test_words_that_the_student_does_not_know_are_named_and_nothing_is_written(
    command: str, street: Path, student: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mcap"
    run = clip2scene(command, street, "--out", out, "--checkpoint", student, "--classes", "road; whale; car")
    assert_one_line_error(run, terminal.BAD_INPUT, "whale", "learned with labels", "driveable surface (road, street)")
    assert not out.exists()


def test_evaluate_scores_words_against_the_classes_that_they_mean(street: Path, student: Path, tmp_path: Path) -> None:
    iou = {}
    for name, options in (("own", ()), ("mine", ("--classes", "street; building, pole; Car"))):
        run = clip2scene("evaluate", street, "--out", tmp_path / name, "--checkpoint", student, *options)
        assert run.returncode == 0, run.stderr
        iou[name] = read_report(tmp_path / name / "report.json")["iou"]
    assert list(iou["mine"]) == ["street", "building", "Car"]
    for mine, own in (("street", "driveable surface"), ("building", "manmade")):  # all that the street's truth has
        assert iou["mine"][mine] == iou["own"][own] is not None
