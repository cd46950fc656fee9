from pathlib import Path

from setuptools import find_packages, setup

ONNX = ["torch>=2.6", "onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.2"]
DOCS = ["sphinx>=7.4", "furo>=2024.8.6", "myst-parser>=3"]

setup(
    name="nni-blockqnn",
    version="0.1.0",
    description="BlockQNN (arXiv 1708.05552) for NNI: finds convolutional blocks with Q-learning",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=[
        *find_packages(include=["nni_blockqnn", "nni_blockqnn.*"]),
        "nni_blockqnn.config_templates",
    ],
    package_dir={"nni_blockqnn.config_templates": "config_templates"},
    package_data={
        "nni_blockqnn": ["py.typed"],
        "nni_blockqnn.bridge": ["*.js"],
        "nni_blockqnn.export": ["templates/*"],
        "nni_blockqnn.reports": ["templates/*"],
        "nni_blockqnn.config_templates": ["*.yml"],
    },
    python_requires=">=3.10,<3.14",
    install_requires=[  # docs/dependencies.md says why each is there
        "nni>=3.0,<4",
        "setuptools<82",  # nnictl imports pkg_resources, which 82 dropped
        "filelock<3.12",  # NNI's own pin
        "numpy>=1.24",
        "scipy>=1.9.2",
        "torch>=2.1",
        "torchvision>=0.16",
        "ptflops>=0.7.3",
        "schema>=0.7.5",
        "networkx>=3.0",
        "matplotlib>=3.7",
        "rich>=13",
        "jinja2>=3.1",
        "tensorboard>=2.13",
        "scikit-learn>=1.3",
        "paramiko>=3.4",
        "psutil>=5.9",
        "shtab>=1.8",
        "PyYAML>=6.0",
        "Pillow>=9.1",
        "safetensors>=0.4",
    ],
    extras_require={
        "onnx": ONNX,
        "docs": DOCS,
        "dev": [
            *ONNX,
            *DOCS,
            "pytest>=8,<9.2",  # with 9.2, pytest-xdist 3.8 no longer groups tests
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "pycocotools>=2.0.7",  # tests compare its average precision with ours
            "ruff==0.17.*",
            "selenium>=4.20",
            "mypy==2.4.*",
            "types-PyYAML",
            "types-psutil",
            "types-requests",
        ],
    },
    entry_points={"console_scripts": ["blockqnn = nni_blockqnn.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
