"""Build of `engine` (the program) and `engine_kernels` (the native code in kernels/)."""

from __future__ import annotations

from setuptools import find_packages, setup

KERNELS = ["engine_kernels"] + [f"engine_kernels.{name}" for name in find_packages("kernels")]

setup(
    name="engine",
    version="0.1.0",
    description="Training of neural networks in particle physics, declared in YAML",
    python_requires=">=3.11",
    packages=[*find_packages(include=["engine", "engine.*"]), *KERNELS, "engine.schemas", "engine.specs"],
    package_dir={"engine_kernels": "kernels", "engine.schemas": "schemas", "engine.specs": "specs"},
    package_data={"engine.schemas": ["**/*.json"], "engine.specs": ["**/*.yaml"]},
    install_requires=[
        "torch>=2.6", "numpy>=1.26", "PyYAML>=6", "jsonschema>=4.20", "referencing>=0.30", "click>=8.1", "rich>=13", "uproot>=5.3", "awkward>=2.6",
        "pyarrow>=15", "h5py>=3.10", "numba>=0.60", "matplotlib>=3.8", "hist>=2.7", "mplhep>=0.3", "tensorboard>=2.16", "safetensors>=0.4",
        "onnx>=1.16", "onnxscript>=0.1", "onnxruntime>=1.18", "fsspec>=2024.2",
    ],
    extras_require={
        "dev": ["pytest>=8", "hypothesis>=6.100", "ruff>=0.5", "mypy>=1.10", "pandas>=2", "scikit-learn>=1.4", "scipy>=1.11", "types-PyYAML", "types-jsonschema"],
    },
    entry_points={"console_scripts": ["engine = engine.cli:main"]},
)
