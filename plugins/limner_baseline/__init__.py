"""The baseline: text encoders, a convolutional generator and discriminator, adversarial losses and penalties."""

from limner.hooks import hookimpl


@hookimpl
def limner_encoders():
    return {
        "mlp": "limner_baseline.encoders:MLPEncoder",
        "lstm": "limner_baseline.encoders:LSTMEncoder",
        "phrase": "limner_baseline.phrase:PhraseEncoder",
        "transformer": "limner_baseline.encoders:TransformerEncoder",
    }


@hookimpl
def limner_generators():
    return {"convolutional": "limner_baseline.generator:ConvolutionalGenerator"}


@hookimpl
def limner_discriminators():
    return {"convolutional": "limner_baseline.discriminator:ConvolutionalDiscriminator"}


@hookimpl
def limner_losses():
    return {
        "minimax": "limner_baseline.adversarial:Minimax",
        "non-saturating": "limner_baseline.adversarial:NonSaturating",
        "hinge": "limner_baseline.adversarial:Hinge",
        "relativistic": "limner_baseline.adversarial:Relativistic",
        "r1": "limner_baseline.penalties:R1",
        "r2": "limner_baseline.penalties:R2",
        "matching-aware-penalty": "limner_baseline.penalties:MatchingAware",
    }
