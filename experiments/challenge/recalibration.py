"""A recalibration of a trained model by new outcomes, as a file that `siloscore score --calibration` applies.

The model stays as it is: its PDs get another level and spread, and nobody's place in the order changes. The PDs of the
model and the recalibrated ones stand beside each other in the answers.
"""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import pandas as pd
import tomli_w
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from experiments.challenge import Inference
from experiments.challenge.inference import Floats
from experiments.outputs import whole_file
from fl.calibration import Calibration
from fl.errors import ConfigError

_LEAST = 1e-15


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """Log odds after = intercept + slope · log odds before, and where that comes from.

    column            of the answers, with the recalibrated PDs
    model             STUDY/CONTENDER/SEED
    outcomes          how many outcomes are known
    reject_inference  how the declined were counted (`inference.Inference`), with the factor of parcelling
    """

    column: ClassVar[str] = "pd_recalibrated"

    model: str
    slope: float
    intercept: float
    outcomes: int
    reject_inference: Inference = Inference.none
    factor: float = 1.0

    def apply(self, answers: pd.DataFrame) -> pd.DataFrame:
        """Answers with a column of recalibrated PDs after the PDs; NaN where another model has answered."""
        pds = Calibration(self.slope, self.intercept).apply(log_odds(answers["pd"]))
        pds = np.where(answered_by(answers, self.model), pds, np.nan)
        place = answers.columns.get_loc("pd") + 1
        return pd.concat(
            [
                answers.iloc[:, :place],
                pd.Series(pds, answers.index, name=self.column),
                answers.iloc[:, place:],
            ],
            axis=1,
        )

    def write(self, path: Path) -> None:
        """Write it as TOML."""
        with whole_file(path) as draft:
            draft.write_text(
                tomli_w.dumps({**asdict(self), "reject_inference": str(self.reject_inference)}), "utf-8"
            )


def read_recalibration(path: Path, model: str) -> Recalibration:
    """The recalibration in a file. Raises ConfigError for a file that is none, or is of another model."""
    try:
        read = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Recalibration)
    except OSError:
        raise ConfigError(f"There is no calibration {path}.") from None
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"{path} is no calibration ({error}); siloscore challenge --recalibrate writes one."
        ) from None
    if read.model != model:
        raise ConfigError(f"{path} is a calibration of {read.model}, and not of {model}.")
    return read


def answered_by(answers: pd.DataFrame, model: str) -> NDArray[np.bool_]:
    """Which answers (n,) are those of the model STUDY/CONTENDER/SEED, alone or with the reserve model."""
    contender = model.split("/")[1]
    return np.array([answer.split(" + ")[0] == contender for answer in answers["model"]], np.bool_)


def log_odds(pds: ArrayLike) -> Floats:
    """Log odds (n,) of PDs (n,), finite ones also of 0 and 1."""
    return np.asarray(logit(np.clip(np.asarray(pds, np.float64), _LEAST, 1 - _LEAST)), np.float64)
