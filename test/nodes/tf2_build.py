"""Builds tf2_msgs/TFMessage where ROS came from wheels, of which none has it: rosidl's generators and gcc are enough.

A program (`python tf2_build.py FOLDER`), since the generators find each other by an environment variable; 2 s of CPU.
`FOLDER/py` is then to be put on the path. Only for tests: it is built for this Python and this rmw_fastrtps.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np

NAME = "tf2_msgs"
MESSAGE = "geometry_msgs/TransformStamped[] transforms\n"
NEEDS = ("geometry_msgs", "std_msgs", "builtin_interfaces")
LIBRARIES = (
    *(f"geometry_msgs__rosidl_{kind}" for kind in ("generator_c", "generator_py", "typesupport_fastrtps_c")),
    *("rosidl_runtime_c", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c", "fastcdr", "rcutils"),
)


def stub_catkin() -> None:
    """Stand in for a package of which the generators import two names, and call neither."""
    package = ModuleType("catkin_pkg.package")
    package.package_exists_at = package.parse_package = None  # type: ignore[attr-defined]
    sys.modules |= {"catkin_pkg": ModuleType("catkin_pkg"), "catkin_pkg.package": package}


def generate(folder: Path, share: Path) -> list[Path]:
    """Write the sources; return the folders in which they are, that of the Python package last."""
    from rosidl_adapter.msg import convert_msg_to_idl
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport

    message = Path("msg", "TFMessage.msg")
    (folder / "msg").mkdir(parents=True)
    (folder / message).write_text(MESSAGE)
    convert_msg_to_idl(folder, NAME, message, folder / "msg")
    fast = "rosidl_typesupport_fastrtps_c"
    makers = {
        "c": GenerateC("c"),
        "fast": GenerateFastRTPSCTypesupport("fast"),
        "support": GenerateCTypesupport("support", typesupport_implementations=[fast]),
        "py": GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]),
    }
    for name, maker in makers.items():
        target = folder / name / NAME
        target.mkdir(parents=True)
        interfaces, include = [f"{folder}:{message.with_suffix('.idl')}"], [str(share / each) for each in NEEDS]
        maker.generate(package_name=NAME, interface_files=interfaces, include_paths=include, output_path=target)
    (folder / "py" / NAME / "__init__.py").touch()
    return [folder / name for name in makers]


def compile_all(folders: list[Path], prefix: Path) -> None:
    """Compile all sources into the package's one extension module."""
    headers = [*folders, Path(sysconfig.get_paths()["include"]), Path(np.get_include())]
    headers += [prefix / "include", *(each for each in (prefix / "include").iterdir() if each.is_dir())]
    objects = []
    for source in [each for folder in folders for kind in ("*.c", "*.cpp") for each in folder.rglob(kind)]:
        objects.append(str(source.with_suffix(".o")))
        command = ["g++", "-std=c++17"] if source.suffix == ".cpp" else ["gcc"]
        command += ["-O0", "-w", "-fPIC", "-c", str(source), "-o", objects[-1], *(f"-I{each}" for each in headers)]
        subprocess.run(command, check=True)
    module = f"tf2_msgs_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}"
    out = ["-o", str(folders[-1] / NAME / module), f"-L{prefix / 'lib'}", *(f"-l{each}" for each in LIBRARIES)]
    subprocess.run(["g++", "-shared", *objects, *out], check=True)


def build(folder: Path) -> str:
    """Return what is to be put on the path, or raise CalledProcessError with what went wrong."""
    environment = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix}
    command = [sys.executable, str(Path(__file__).resolve()), str(folder)]
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return str(folder / "py")


if __name__ == "__main__":
    stub_catkin()
    compile_all(generate(Path(sys.argv[1]).resolve(), Path(sys.prefix, "share")), Path(sys.prefix))
