"""Optimizers: how the weights of a player move along their gradients."""

from limner.hooks import hookimpl


@hookimpl
def limner_optimizers():
    return {"adam": "limner_optimizers.adam:Adam", "muon": "limner_optimizers.muon:Muon"}
