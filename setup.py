"""Build of `engine` (the program) and `engine_kernels` (the native code in kernels/).

The native module is optional: without a compiler, without pybind11 or with ENGINE_NO_NATIVE=1 the install goes on
without it and numba takes over at run time. ENGINE_NATIVE=1 makes a failing build an error. ENGINE_CUDA=1 or
ENGINE_CUDA_ARCHS="80;90" adds the CUDA kernels where nvcc is found.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
KERNELS = ["engine_kernels"] + [f"engine_kernels.{name}" for name in find_packages("kernels")]
# Contraction to fused multiply-add is off: every processor gives the same bits. The other two only free the vectoriser.
COMPILE = [
    "-std=c++17",
    "-O3",
    "-g0",
    "-Wall",
    "-Wextra",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
]
# A file that bears the name of an instruction set is compiled for it, and only called where the processor has it. Its
# types must be defined under those instructions: an attribute of functions is not enough, packs then go by memory.
OF_FILE = {
    "vertex_fit/cpu.cpp": ["-O1"],  # the baseline calls the library for every fused multiply-add
    "vertex_fit/cpu_v3.cpp": ["-O2", "-march=x86-64-v3"],
    "vertex_fit/cpu_v4.cpp": ["-O2", "-march=x86-64-v4"],
    "bindings.cpp": ["-O1"],  # nothing but calls
}
DEFAULT_ARCHS = "80;90"


def wanted(name: str) -> bool:
    """True where the environment switches `name` on."""
    return os.environ.get(name, "0") not in ("", "0")


def sources(pattern: str) -> list[str]:
    """Files of kernels/ that match, relative to the repository, in a fixed order."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "kernels").glob(pattern))


def why_not_native() -> str | None:
    """The reason for a pure Python install, or None."""
    if wanted("ENGINE_NO_NATIVE"):
        return "ENGINE_NO_NATIVE is set"
    named = os.environ.get("CXX", "").split()[:1]
    if not any(shutil.which(name) for name in named or ["g++", "c++", "clang++"]):
        return "no C++ compiler was found"
    try:
        import pybind11  # noqa: F401
    except ImportError:
        return "pybind11 is not installed"
    return None


def cuda_home() -> Path | None:
    """The CUDA toolkit, where CUDA is asked for.

    Raises:
        SystemExit: CUDA is asked for, but there is no nvcc.
    """
    if not (wanted("ENGINE_CUDA") or os.environ.get("ENGINE_CUDA_ARCHS")):
        return None
    named = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    found = shutil.which("nvcc")
    homes = [Path(named)] if named else []
    homes += [Path("/usr/local/cuda")] + ([Path(found).resolve().parent.parent] if found else [])
    for home in homes:
        if (home / "bin" / "nvcc").is_file():
            return home
    raise SystemExit("CUDA kernels were asked for, but nvcc is neither in CUDA_HOME, /usr/local/cuda nor on the PATH")


def cuda_archs() -> list[str]:
    """Architectures to compile for, lowest first."""
    named = os.environ.get("ENGINE_CUDA_ARCHS") or DEFAULT_ARCHS
    return sorted(named.replace(",", ";").strip(";").split(";"), key=int)


def flags_of(source: str) -> list[str]:
    """What a file of C++ is compiled with beyond the others; instruction sets only for their kind of processor."""
    own = next((flags for name, flags in OF_FILE.items() if source.endswith(name)), [])
    return [flag for flag in own if not flag.startswith("-march") or platform.machine() in ("x86_64", "AMD64")]


def native_extension() -> Extension:
    """One module of all kernels/*/cpu*.cpp and bindings.cpp; a new folder with these files joins by itself."""
    import pybind11

    registered = [Path(name).parent.name for name in sources("*/bindings.cpp")]
    return Extension(
        "engine_kernels._native",
        sources=[*sources("*/cpu*.cpp"), "kernels/bindings.cpp", *sources("*/bindings.cpp")],
        depends=sources("**/*.h") + sources("**/*.cu"),
        include_dirs=["kernels", pybind11.get_include()],
        define_macros=[("ENGINE_KERNELS(X)", " ".join(f"X({name})" for name in registered))],
        extra_compile_args=COMPILE,
        language="c++",
        optional=not wanted("ENGINE_NATIVE"),
    )


class BuildNative(build_ext):
    """Adds the CUDA objects, and says in one sentence what a failure means."""

    def build_extension(self, ext: Extension) -> None:
        """Compile `ext`; a failure is fatal with ENGINE_NATIVE=1 only (setuptools skips an optional extension)."""
        home = cuda_home()
        if home is not None:
            self.add_cuda(ext, home)
        from pybind11.setup_helpers import ParallelCompile

        compile_one = self.compiler._compile

        def compile_file(
            target: str, source: str, suffix: str, options: list[str], extra: list[str], *rest: object
        ) -> None:
            compile_one(target, source, suffix, options, extra + flags_of(source), *rest)

        self.compiler._compile = compile_file
        try:
            with ParallelCompile(default=os.cpu_count() or 1):
                super().build_extension(ext)
        except Exception as error:
            self.warn(f"the native kernels could not be built ({error}); the numba versions will be used instead")
            raise

    def add_cuda(self, ext: Extension, home: Path) -> None:
        """Compile every .cu file to an object and link the static CUDA runtime (importing needs no driver)."""
        archs = cuda_archs()
        codes = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in archs]
        codes.append(f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}")
        folder = Path(self.build_temp) / "cuda"
        folder.mkdir(parents=True, exist_ok=True)
        cores = os.cpu_count() or 1
        flags = ["-std=c++17", "-O3", "-Xcompiler", "-fPIC,-Wall,-Wextra,-fvisibility=hidden", "-Ikernels"]
        compiler = [str(home / "bin" / "nvcc"), *flags, *codes, "--threads", str(cores)]
        targets = {source: str(folder / (source.replace("/", "_") + ".o")) for source in sources("**/*.cu")}

        def compile_one(source: str) -> None:
            subprocess.run([*compiler, "-c", source, "-o", targets[source]], check=True, cwd=ROOT)

        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(compile_one, targets))
        ext.extra_objects += targets.values()
        ext.define_macros.append(("ENGINE_HAS_CUDA", '"' + ", ".join(f"sm_{arch}" for arch in archs) + '"'))
        ext.library_dirs += [str(home / name) for name in ("lib64", "lib") if (home / name).is_dir()]
        ext.libraries += ["cudart_static", "dl", "rt", "pthread"]


REASON = why_not_native()
if REASON is not None:
    if wanted("ENGINE_NATIVE"):
        raise SystemExit(f"ENGINE_NATIVE asks for the native kernels, but {REASON}")
    print(f"engine: installing without native kernels ({REASON}); numba takes over")  # noqa: T201 (pip -v shows it)

setup(
    name="engine",
    version="0.1.0",
    description="Training of neural networks in particle physics, declared in YAML",
    python_requires=">=3.11",
    packages=[*find_packages(include=["engine", "engine.*"]), *KERNELS, "engine.schemas", "engine.specs"],
    package_dir={"engine_kernels": "kernels", "engine.schemas": "schemas", "engine.specs": "specs"},
    package_data={"engine.schemas": ["**/*.json"], "engine.specs": ["**/*.yaml", "**/*.json"]},
    ext_modules=[] if REASON is not None else [native_extension()],
    cmdclass={"build_ext": BuildNative},
    install_requires=[  # the lowest that the default tests have been passed with
        "torch>=2.8",
        "numpy>=2.0",
        "PyYAML>=6",
        "jsonschema>=4.20",
        "referencing>=0.30",
        "click>=8.1",
        "rich>=13",
        "uproot>=5.6.3",
        "awkward>=2.8",
        "pyarrow>=17",
        "h5py>=3.11",
        "numba>=0.60",
        "matplotlib>=3.10",
        "hist>=2.7",
        "mplhep>=0.3.30",
        "tensorboard>=2.21",
        "safetensors>=0.4",
        "onnx>=1.18",
        "onnxscript>=0.6",
        "onnxruntime>=1.19",
        "fsspec>=2024.2",
    ],
    extras_require={
        "simulate": ["pythia8mc>=8.317,<8.318"],  # the newest with wheels; later ones have to be compiled
        "dev": [
            "pybind11>=2.13",  # the tests of the packaging build without isolation
            "setuptools>=77",
            "pytest>=8",
            "hypothesis>=6.100",
            "ruff>=0.5",
            "mypy>=1.10",
            "pandas>=2",
            "scikit-learn>=1.4",
            "scipy>=1.11",
            "types-PyYAML",
            "types-jsonschema",
        ],
    },
    entry_points={"console_scripts": ["engine = engine.cli:main"]},
)
