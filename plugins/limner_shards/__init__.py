"""Captioned images in shards: tar files in the layout of WebDataset, read in a stream.

`tars` reads one tar file, `listing` finds the shards and their captions, `stream` reads shards in a shuffled order,
`dataset` is the data set, and `commands` holds `limner data shards`. `limner export-data --shards` writes shards.
"""

from collections.abc import Mapping

from limner.hooks import hookimpl


@hookimpl
def limner_datasets() -> Mapping[str, str]:
    """Data of any size, streamed from tar files."""
    return {"shards": "limner_shards.dataset:Shards"}


@hookimpl
def limner_data_commands() -> Mapping[str, str]:
    """A command that checks shards."""
    return {"shards": "limner_shards.commands:shards"}
