"""Datasets on disk: Arrow shards with one matrix column, and a manifest."""

from shared.dataset.arrays import DatasetArrays
from shared.dataset.manifest import FeatureColumn, FoldSpec, Manifest, Statistics, read_manifest
from shared.dataset.reader import DatasetReader
from shared.dataset.writer import DatasetWriter, Written

__all__ = [
    "DatasetArrays",
    "DatasetReader",
    "DatasetWriter",
    "FeatureColumn",
    "FoldSpec",
    "Manifest",
    "Statistics",
    "Written",
    "read_manifest",
]
