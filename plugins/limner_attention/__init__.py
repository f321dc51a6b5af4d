"""Attention from a generator's feature map to the words: by position, by channel, or with several heads."""

from limner.hooks import hookimpl


@hookimpl
def limner_attentions():
    return {
        "multi-head": "limner_attention.multi_head:MultiHeadAttention",
        "spatial": "limner_attention.spatial:SpatialAttention",
        "channel": "limner_attention.channel:ChannelAttention",
    }
