"""Model files describe themselves, come back as they were, and never run anything."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from upimagine.errors import UpimagineError
from upimagine.models.builtin import builtin_models, find
from upimagine.models.file import load_model_file, read_header, save_model
from upimagine.models.loaded import load, load_generator, load_upscaler
from upimagine.nets.dcgan import DcganDiscriminator, DcganGenerator
from upimagine.roles import Critic, Generator, Upscaler


def test_a_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, judge = DcganGenerator(64, width=4).eval(), DcganDiscriminator(64, width=4).eval()
    save_model(tmp_path / "m.safetensors", "generator", net, judge, {"data": "discs"}, half=False)
    back = load_model_file(tmp_path / "m.safetensors")
    latents = torch.randn(3, 100)
    assert torch.equal(back.main(latents), net(latents))
    assert back.critic is not None
    assert torch.equal(back.critic(net(latents)), judge(net(latents)))
    assert back.story == {"data": "discs"}
    assert back.main.training is False


def test_built_in_models_load_without_the_compiler() -> None:
    """It takes a second and 100 MB; only a fresh process shows what was loaded."""
    script = """
import sys
from upimagine.models.builtin import builtin_models
from upimagine.models.loaded import load
for name in builtin_models():
    load(name, "cpu", "float32")
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_built_in_model_is_read_by_its_name() -> None:
    name, path = next(iter(builtin_models().items()))
    assert load_model_file(name).sha256 == load_model_file(path).sha256


def test_half_precision_files_are_half_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = DcganGenerator(64, width=8).eval()
    save_model(tmp_path / "full.safetensors", "generator", net, None, {}, half=False)
    save_model(tmp_path / "half.safetensors", "generator", net, None, {})
    assert (tmp_path / "half.safetensors").stat().st_size < 0.56 * (tmp_path / "full.safetensors").stat().st_size
    latents = torch.randn(3, 100)
    difference = load_model_file(tmp_path / "half.safetensors").main(latents) - net(latents)
    assert difference.abs().max() < 2 / 255


def test_loaded_models_fill_their_roles(models: dict[str, Path]) -> None:
    generator = load_generator(models["generator"], dtype="float32")
    upscaler = load_upscaler(models["portrait"], dtype="float32")
    assert isinstance(generator, Generator)
    assert isinstance(upscaler, Upscaler)
    assert isinstance(upscaler.critic, Critic)
    tiles = torch.rand(2, 6, 32, 32)
    made = upscaler.upscale(tiles)
    assert made.shape == (2, 3, 256, 256)
    assert upscaler.critic.score(made, tiles).shape == (2,)
    assert generator.critic is not None
    assert generator.critic.score(generator.generate(torch.randn(2, 100))).shape == (2,)


def test_a_picture_does_not_depend_on_its_batch_mates(models: dict[str, Path]) -> None:
    generator = load_generator(models["generator"], dtype="float32")
    latents = torch.randn(5, 100)
    torch.testing.assert_close(generator.generate(latents)[2:3], generator.generate(latents[2:3]), rtol=0, atol=1e-5)


def test_roles_are_not_mixed_up(models: dict[str, Path]) -> None:
    with pytest.raises(UpimagineError, match="a model that makes them is needed"):
        load_generator(models["detail"])
    with pytest.raises(UpimagineError, match="a model that enlarges them is needed"):
        load_upscaler(models["generator"])


def _rewrite_header(source: Path, target: Path, **changes: object) -> Path:
    header = read_header(source) | changes
    save_file({"main.x": torch.zeros(1)}, target, {"upimagine": json.dumps(header)})
    return target


def test_bad_files_get_one_clear_line(models: dict[str, Path], tmp_path: Path) -> None:
    whole = models["detail"].read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.safetensors").write_text("not weights")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    nets = read_header(models["detail"])["nets"]
    alien = {"main": nets["main"] | {"architecture": "os.system"}}
    odd = {"main": nets["main"] | {"config": {"guide_channels": 0, "width": 0.125}}}
    cases = {
        tmp_path / "cut.safetensors": "is not a sound model file",
        tmp_path / "text.safetensors": "is not a sound model file",
        tmp_path / "empty.safetensors": "is not a sound model file",
        tmp_path / "foreign.safetensors": "not an upimagine model",
        tmp_path / "missing.safetensors": "does not exist",
        _rewrite_header(models["detail"], tmp_path / "future.safetensors", format=99): "has model format 99",
        _rewrite_header(
            models["detail"], tmp_path / "alien.safetensors", nets=alien
        ): "needs the architecture 'os.system'",
        _rewrite_header(models["detail"], tmp_path / "odd.safetensors", nets=odd): "does not fit its own description",
    }
    for path, words in cases.items():
        with pytest.raises(UpimagineError, match=words) as caught:
            load(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("description", ["not json", "[1]", '{"format": 1}', '{"format": 1, "role": "x", "nets": 3}'])
def test_damaged_descriptions_get_one_clear_line(description: str, tmp_path: Path) -> None:
    save_file({"main.x": torch.zeros(1)}, tmp_path / "odd.safetensors", {"upimagine": description})
    with pytest.raises(UpimagineError, match="has a damaged description"):
        load(tmp_path / "odd.safetensors")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "sprung"),)

    trap = tmp_path / "trap.safetensors"
    trap.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UpimagineError, match="not a sound model file"):
        load(trap)
    assert not (tmp_path / "sprung").exists()


def test_an_unknown_name_is_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upimagine.models.builtin.builtin_models", lambda: {"portrait-x8": Path("x")})
    with pytest.raises(UpimagineError, match=r"did you mean portrait-x8\?"):
        find("portrat-x8")


def test_built_in_models_are_sound_and_have_cards() -> None:
    total = 0
    assert set(builtin_models()) >= {"portrait-128", "portrait-x8", "detail-x8"}
    for name, path in builtin_models().items():
        load_model_file(path)
        total += path.stat().st_size
        card = path.with_suffix(".md").read_text(encoding="utf-8")
        for part in ("Data", "Licence", "Command", "Hours", "Hardware", "Scores", "does badly"):
            assert part in card, f"the card of {name} says nothing of {part}"
    assert total <= 80_000_000
