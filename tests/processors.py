"""Processors that C is compiled for and run on: this one, and others in an emulator."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from dt_export.targets.c.build import ZIG

SECONDS = 300  # of an emulator that hangs


@dataclass(frozen=True)
class Processor:
    """How to compile for it, and what runs the program: nothing, if it is this one."""

    name: str
    compiler: tuple[str, ...]
    flags: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    runs: bool = True  # else the program is only linked

    def __str__(self) -> str:
        return self.name

    def available(self) -> None:
        """Skip a test, with the name of the missing program, where it cannot run."""
        for program in (self.compiler[0], *self.emulator[:1]):
            if shutil.which(program) is None:
                pytest.skip(f"{self.name}: there is no {program}")
        if "ziglang" in self.compiler and find_spec("ziglang") is None:
            pytest.skip(f"{self.name}: ziglang is not installed")

    def build(self, source: Path, program: Path) -> None:
        command = [*self.compiler, "-std=c99", *self.flags, source, "-o", program, "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def run(self, source: Path, folder: Path, *arguments: object) -> str:
        """What a program prints; its exit code must be 0."""
        program = folder / f"{source.stem}.program"
        self.build(source, program)
        if not self.runs:
            return ""
        command = [*self.emulator, program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, f"{self.name}: {done.stdout}{done.stderr}"
        return done.stdout


def _here() -> tuple[Processor, ...]:
    flags = {
        "-O0": ("-O0",),
        "-O2": ("-O2",),
        "-march=native": ("-O2", "-march=native"),
        "dispatch": ("-O2", "-DTINY_DISPATCH", "-DHOPPER_DISPATCH"),
        "no vectors": ("-O2", "-DTINY_NO_VECTORS", "-DHOPPER_NO_VECTORS"),
    }
    return tuple(
        Processor(f"{compiler} {name}", (compiler,), told)
        for compiler in ("gcc", "clang")
        for name, told in flags.items()
    )


def _arm32(name: str, *flags: str) -> Processor:
    return Processor(name, ("arm-linux-gnueabihf-gcc",), ("-O2", "-static", *flags), ("qemu-arm",))


def _zig(target: str, *emulator: str) -> Processor:
    # without debugging information, which takes it most of the time
    flags = ("-target", target, "-O2", "-g0")
    return Processor(f"zig {target}", ZIG, flags, emulator, runs="windows" not in target)


HERE = _here()
EMULATED = (
    Processor("aarch64", ("aarch64-linux-gnu-gcc",), ("-O2", "-static"), ("qemu-aarch64",)),
    Processor(
        "aarch64 with dotprod",
        ("aarch64-linux-gnu-gcc",),
        ("-O2", "-static", "-march=armv8.2-a+dotprod"),
        ("qemu-aarch64",),
    ),
    _arm32("armv7 with NEON", "-mfpu=neon"),
    _arm32("armv7, aligned only", "-mfpu=vfpv3-d16", "-mno-unaligned-access"),
    Processor("s390x", ("s390x-linux-gnu-gcc",), ("-O2", "-static"), ("qemu-s390x",)),
)
ZIGS = (
    _zig("aarch64-linux-musl", "qemu-aarch64"),
    _zig("riscv64-linux-musl", "qemu-riscv64"),
    _zig("x86-linux-musl"),
    _zig("x86_64-windows-gnu"),
)
