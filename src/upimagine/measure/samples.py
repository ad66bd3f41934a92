"""A generator judged by its unculled samples: faces, diversity, and distance to pictures it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from upimagine.errors import UpimagineError
from upimagine.guide.faces import find_face
from upimagine.losses.msssim import PairSimilarity, pair_similarity
from upimagine.measure.faces import FaceFinder, face_share
from upimagine.measure.frechet import KernelDistance, frechet_distance, kernel_distance, set_features
from upimagine.nets.vgg import Vgg16Features


@dataclass(frozen=True)
class SetDistance:
    """Distance of a set of pictures to the held-out ones."""

    frechet: float
    frechet_count: int
    """Pictures taken from the set: Fréchet distances compare only at equal counts."""
    kernel: KernelDistance


@dataclass(frozen=True)
class SamplesReport:
    """What samples are worth beside the pictures they were learnt from."""

    count: int
    faces: float
    """Share of samples with a face."""
    similarity: PairSimilarity
    """Of pairs of samples: well above that of the training pictures (by 0.03, say) means collapse."""
    training_similarity: PairSimilarity
    distance: SetDistance | None
    """Samples against held-out pictures, where there are both these and a feature network."""
    training_distance: SetDistance | None
    """Training pictures against the same held-out ones: what a perfect generator would reach."""

    def __str__(self) -> str:
        """A Markdown table of samples beside training pictures."""
        ours, theirs = self.similarity, self.training_similarity
        lines = [
            "| what | samples | training pictures |",
            "|---|---|---|",
            f"| pictures with a face, of {self.count} | {self.faces:.1%} | |",
            f"| MS-SSIM of pairs ({ours.scales} scales) | {ours.mean:.4f} ± {ours.error:.4f} "
            f"| {theirs.mean:.4f} ± {theirs.error:.4f} |",
        ]
        if self.distance is not None and self.training_distance is not None:
            a, b = self.distance, self.training_distance
            lines += [
                f"| Fréchet to held-out ({a.frechet_count} pictures) | {a.frechet:.3f} | {b.frechet:.3f} |",
                f"| kernel to held-out | {a.kernel.value:.4f} ± {a.kernel.error:.4f} "
                f"| {b.kernel.value:.4f} ± {b.kernel.error:.4f} |",
            ]
        return "\n".join(lines)


def evaluate_samples(
    samples: Tensor,
    training: Tensor,
    *,
    held_out: Tensor | None = None,
    features: Vgg16Features | None = None,
    find: FaceFinder = find_face,
    pairs: int = 1000,
    seed: int = 0,
) -> SamplesReport:
    """Judge (N, 3, S, S) samples beside training pictures (and held-out ones) of the same size, all in [-1, 1].

    Distances are taken only where `features` and `held_out` are both given. Raises UpimagineError when sizes differ or
    a set is too small to say anything about.
    """
    sets = {"samples": samples, "training pictures": training}
    if held_out is not None:
        sets["held-out pictures"] = held_out
    sizes = {name: tuple(pictures.shape[1:]) for name, pictures in sets.items()}
    if len(set(sizes.values())) != 1:
        raise UpimagineError(f"sizes differ ({sizes}); bring all pictures to one size first")
    distance = training_distance = None
    if features is not None and held_out is not None:
        truth = set_features(features, held_out)
        count = min(len(samples), len(training))
        distance = _set_distance(set_features(features, samples), truth, count, seed)
        training_distance = _set_distance(set_features(features, training), truth, count, seed)
    return SamplesReport(
        len(samples),
        face_share(samples, find=find).share,
        pair_similarity(samples, pairs=pairs, seed=seed),
        pair_similarity(training, pairs=pairs, seed=seed),
        distance,
        training_distance,
    )


def _set_distance(found: Tensor, truth: Tensor, count: int, seed: int) -> SetDistance:
    """Fréchet on `count` random rows of `found`, kernel on all of them."""
    chosen = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:count]
    return SetDistance(frechet_distance(found[chosen], truth), count, kernel_distance(found, truth, seed=seed))
