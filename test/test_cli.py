"""The command line as its user meets it: with wrong words, broken files and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import clip2scene, one_line_error
from small_street import WORLD, write_street, write_student

from clip2scene_ros import cli, terminal
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
    from clip2scene_ros.config import SegmenterConfig
    from clip2scene_ros.settings import settings_of

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
    one_line_error(run, *words)
    assert not (tmp_path / "out.mcap").exists()


def test_segment_never_replaces_a_file_unasked(street: Path, student: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mcap"
    out.write_bytes(b"precious")
    words = ("segment", street, "--out", out, "--checkpoint", student)
    one_line_error(clip2scene(*words), "out.mcap exists")
    assert out.read_bytes() == b"precious"
    assert clip2scene(*words, "--overwrite").returncode == 0
    with BagReader(out) as bag:
        assert bag.topics[LABELS][1] == 6


def test_segment_refuses_to_replace_its_own_input(street: Path) -> None:
    before = street.read_bytes()
    run = clip2scene("segment", street, "--out", street.parent / "." / street.name, "--overwrite")
    one_line_error(run, "the bag to label itself")
    assert street.read_bytes() == before


def test_segment_names_a_missing_topic_and_a_bad_checkpoint(street: Path, student: Path, tmp_path: Path) -> None:
    words = ("segment", street, "--out", tmp_path / "out.mcap")
    one_line_error(clip2scene(*words, "--checkpoint", student, "--topic", "/lidar"), "/lidar", "/points")
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04pickle")
    one_line_error(clip2scene(*words, "--checkpoint", tmp_path / "bad.safetensors"), "bad.safetensors")


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
    one_line_error(run, "ground truth", "/ground_truth/points")
    assert not (tmp_path / "r").exists()
    one_line_error(clip2scene("evaluate", street, "--out", street), "is a file: expected a folder")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "report.json").write_text("precious")
    run = clip2scene("evaluate", street, "--out", tmp_path / "r", "--checkpoint", student)
    one_line_error(run, "report.json exists")
    assert (tmp_path / "r" / "report.json").read_text() == "precious"


# ---- finetune, pretrain, train-clip


@pytest.mark.parametrize(
    ("command", "option"),
    [("finetune", "--world-seeds"), ("pretrain", "--preset"), ("train-clip", "--photo.close-ups")],
)
def test_trainers_have_their_own_options(command: str, option: str) -> None:
    run = in_a_process(command, "--help")
    assert run.returncode == 0, run.stderr
    assert option in run.stdout


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
    one_line_error(run, "whale", "learned with labels", "driveable surface (road, street)", code=terminal.BAD_INPUT)
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
