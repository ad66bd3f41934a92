"""Put a trained model into the package: fp16 weights whose description also tells data, licence and measured scores.

    python benchmarks/release_model.py runs/mine/model.safetensors portrait-128 --about "…" --score faces=0.97

The card NAME.md is written by hand beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import upimagine
from upimagine.errors import UpimagineError
from upimagine.models.file import load_model_file, save_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("name")
    parser.add_argument("--about", required=True, help="what the data are")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--score", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--kimg", type=float, help="pictures shown in all, where several runs led to the model")
    parser.add_argument("--hours", type=float, help="hours in all, likewise")
    args = parser.parse_args()
    try:
        model = load_model_file(args.model)
    except UpimagineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    scores = {name: float(number) for name, number in (score.split("=", 1) for score in args.score)}
    story = model.story | {"about": args.about, "licence": args.licence, "scores": scores}
    story |= {name: getattr(args, name) for name in ("kimg", "hours") if getattr(args, name) is not None}
    out = Path(upimagine.__file__).parent / "models" / "weights" / f"{args.name}.safetensors"
    save_model(out, model.role, model.main, model.critic, story)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
