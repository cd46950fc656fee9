"""From a training's folder to a network in use."""

from nni_blockqnn.export.description import Description, ExportError
from nni_blockqnn.export.folder import FORMATS, Exported, export_network
from nni_blockqnn.export.new_folder import new_folder
from nni_blockqnn.export.source import network_source
from nni_blockqnn.export.trained import load, load_described

__all__ = [
    "FORMATS",
    "Description",
    "ExportError",
    "Exported",
    "export_network",
    "load",
    "load_described",
    "network_source",
    "new_folder",
]
