"""What networks do on a GPU beside what they do on a CPU, and recordings beside the work that was recorded."""

import numpy as np
import pytest
import torch

from mma82cli import models
from mma82cli.models.norms import Ghosts
from mma82cli.models.posec3d import PoseC3D
from mma82cli.training import replays
from mma82cli.training.detection.task import make_model as make_adatad
from mma82cli.training.recipe import changed, load_recipe
from mma82cli.training.replays import Replays
from mma82cli.training.rgb.task import make_model as make_gc_tsm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def exact():
    """Float32 is float32, and attention plain matrix products: cuDNN's gives other bits each time."""
    backends = torch.backends.cuda
    was = torch.backends.cudnn.allow_tf32, backends.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = backends.matmul.allow_tf32 = False
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        yield
    torch.backends.cudnn.allow_tf32, backends.matmul.allow_tf32 = was


def stirred(model):
    """With statistics that are not those of a new network."""
    torch.manual_seed(1)
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    return model.eval()


@pytest.mark.parametrize("dtype,near", [(torch.float32, 5e-6), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("name", ["gc-tsm", "gc-tsm-tiny", "manet", "posec3d", "posec3d-ntu", "whole body"])
def test_fused_layers_say_what_plain_ones_say(name, dtype, near):
    if name in ("gc-tsm", "gc-tsm-tiny", "manet"):
        recipe = load_recipe(name)
        kind, model, x = recipe.model, make_gc_tsm(recipe, 82), torch.randn(2, recipe.frames, 3, 224, 224)
    else:
        joints, strides = (133 if name == "whole body" else 17), ((1, 1, 2) if name == "posec3d-ntu" else (1, 1, 1))
        kind, model, x = "posec3d", PoseC3D(in_channels=joints, temporal_strides=strides), torch.rand(2, joints, 16, 64, 64)
    model = stirred(model)
    with torch.inference_mode():
        want = model(x)
        found = models.folded(kind, model).to(GPU, dtype)(x.to(GPU, dtype)).float().cpu()
    assert (found - want).norm() <= near * want.norm()


def test_recorded_steps_of_a_detector_are_the_others(monkeypatch):
    """Windows of several lengths, each shape twice before it is recorded, then other pictures."""
    monkeypatch.setattr(replays, "AFTER", 2)
    recipe = changed(load_recipe("adatad-b"), depth=2)
    model, rng = make_adatad(recipe, 82).to(GPU).train(), np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".adapter." in name or not name.startswith("backbone."))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    recorded, plain = Replays(GPU, torch.bfloat16), Replays(GPU, torch.bfloat16)
    plain.records = False
    for turn in range(4):
        for windows in ([3, 3], [5, 6], [12, 12]):
            pictures = torch.from_numpy(rng.integers(0, 256, (sum(windows), 16, 160, 160, 3), np.uint8)).to(GPU)
            lengths = torch.tensor([16 * count - 3 for count in windows], device=GPU)
            mask = torch.arange(256, device=GPU) < lengths[:, None]
            given, found = model.lesson(pictures.permute(0, 4, 1, 2, 3), windows, mask, rng), []
            for call in (recorded, plain):
                answers = call(model, model.learn, *given)
                sum(answer.float().square().mean() for answer in answers).backward()
                found.append([each.detach().clone() for each in (*answers, *(p.grad for p in trained if p.grad is not None))])
                for parameter in trained:
                    parameter.grad = None
            for one, other in zip(*found, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=0, msg=lambda text, turn=turn: f"turn {turn}: {text}")
    assert len(recorded.recordings) == 3 and all(recorded.recordings.values())


@pytest.mark.parametrize("passes", [0, replays.COMPILED_FROM], ids=["recorded", "compiled"])
@pytest.mark.parametrize("name", ["posec3d", "gc-tsm"])
def test_micro_batches_at_once_teach_what_they_teach_alone(name, passes, monkeypatch):
    """Outputs, gradients and running statistics, in float32."""
    monkeypatch.setattr(replays, "AFTER", 1)
    torch.manual_seed(0)
    if name == "posec3d":
        model, x = PoseC3D(base_channels=8, stage_blocks=(1, 2), temporal_strides=(1, 1)), torch.rand(12, 17, 8, 32, 32)
    else:
        model, x = make_gc_tsm(changed(load_recipe("gc-tsm-tiny"), stage_blocks=(1, 1)), 82), torch.randn(12, 4, 3, 64, 64)
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    model, x = model.to(GPU).train(), x.to(GPU)
    start, found = {key: value.clone() for key, value in model.state_dict().items()}, []
    for parts in (3, 1):
        model.load_state_dict(start)
        work = model.pooled if name == "posec3d" else model.features
        if parts == 1:
            Ghosts(model)(3)
            recorded = Replays(GPU, torch.float32, passes)
            y = recorded(model, work, x)
            assert recorded.records and all(recorded.recordings.values())
            statistics = [buffer.clone() for buffer in model.buffers()]
        else:
            each = [work(x[:4])]
            statistics = [buffer.clone() for buffer in model.buffers()]
            y = torch.cat([*each, work(x[4:8]), work(x[8:])])
        weight = torch.linspace(-1, 1, y.numel(), device=GPU).view_as(y)
        gradients = torch.autograd.grad((y * weight).sum(), [p for p in model.parameters() if p.requires_grad], allow_unused=True)
        found.append([y.detach().clone(), *(each.clone() for each in gradients if each is not None), *statistics])
    for one, other in zip(*found, strict=True):
        assert (one - other).float().norm() <= 1e-3 * one.float().norm() + 1e-6
