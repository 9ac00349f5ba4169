"""oneDNN linears: outputs and gradients of nn.Linear, and nothing else about the model moves."""

import copy

import pytest
import torch
from torch import nn

from ponder.models.linear import (
    PACK_BYTES,
    OneDNNLinear,
    onednn_is_faster,
    packed_weights,
    use_onednn_linears,
)
from ponder.models.tiny import make_tiny_model

pytestmark = pytest.mark.skipif(not onednn_is_faster(), reason="no AVX-512 or no oneDNN")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 24), (2, 3, 24), (1, 24), (0, 24)])
def test_outputs_and_gradients_are_those_of_a_plain_linear(shape, bias) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(24, 40, bias=bias)
    fast = copy.deepcopy(plain)
    assert use_onednn_linears(nn.Sequential(fast)) == 1
    x = torch.randn(shape, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    target = torch.randn(*shape[:-1], 40)
    (plain(x) * target).sum().backward()
    (fast(y) * target).sum().backward()
    torch.testing.assert_close(fast(y), plain(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(y.grad, x.grad, atol=1e-5, rtol=1e-5)
    for a, b in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-5)


def test_frozen_weights_and_no_grad() -> None:
    fast = nn.Linear(8, 8)
    use_onednn_linears(nn.Sequential(fast))
    fast.requires_grad_(False)
    x = torch.randn(3, 8, requires_grad=True)
    fast(x).sum().backward()
    torch.testing.assert_close(x.grad, fast.weight.sum(0).expand(3, 8), atol=1e-5, rtol=1e-5)
    assert fast.weight.grad is None
    with torch.no_grad():
        assert not fast(x).requires_grad


def test_strided_input_and_a_trainable_bias_alone() -> None:
    fast = nn.Linear(6, 4)
    use_onednn_linears(nn.Sequential(fast))
    fast.weight.requires_grad_(False)
    x = torch.randn(6, 3, 5).transpose(0, 2)
    torch.testing.assert_close(fast(x), x @ fast.weight.t() + fast.bias, atol=1e-5, rtol=1e-5)
    fast(x).sum().backward()
    assert fast.bias.grad.tolist() == [15.0] * 4
    assert fast.weight.grad is None


def test_other_dtypes_take_the_plain_path() -> None:
    fast = nn.Linear(8, 8).double()
    use_onednn_linears(nn.Sequential(fast))
    assert fast(torch.randn(2, 8, dtype=torch.float64)).dtype is torch.float64


def test_a_whole_model_keeps_its_state_its_copies_and_its_files(tmp_path) -> None:
    model, _ = make_tiny_model(0)
    ids = torch.arange(20).view(2, 10)
    before, names = model(ids).logits, list(model.state_dict())
    assert use_onednn_linears(model) == 15
    assert use_onednn_linears(model) == 0
    twin = copy.deepcopy(model)
    assert isinstance(twin.lm_head, OneDNNLinear)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model(ids).logits, before, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    torch.testing.assert_close(twin(ids).logits, before, atol=1e-5, rtol=1e-5)
    model.save_pretrained(tmp_path)
    assert type(type(model).from_pretrained(tmp_path).lm_head) is nn.Linear


def test_packed_weights_give_the_same_products_and_are_forgotten_after() -> None:
    model = nn.Sequential(nn.Linear(24, 40), nn.Linear(40, 8, bias=False), nn.ReLU())
    use_onednn_linears(model)
    for num_rows in (1, 16, 300):
        x = torch.randn(num_rows, 1, 24)
        with torch.inference_mode():
            before = model(x)
            with packed_weights(model):
                assert model[0].packed is not None
                torch.testing.assert_close(model(x), before, atol=1e-5, rtol=1e-5)
            model[1].weight.zero_()
            assert model[0].packed is None
            assert model(x).abs().max() == 0
            model[1].weight.normal_()


def test_large_weights_are_not_packed() -> None:
    large = nn.Linear(1024, PACK_BYTES // 4096 + 1, bias=False)
    use_onednn_linears(nn.Sequential(large))
    with packed_weights(nn.Sequential(large)):
        assert large.packed is None


def test_packed_bfloat16_products_are_close_and_the_heads_are_float32() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 48), nn.Linear(48, 200)).bfloat16()
    use_onednn_linears(model)
    layer, head = model
    x = torch.randn(20, 64).bfloat16()
    with torch.inference_mode(), packed_weights(model, head):
        hidden = layer(x)
        logits = head(hidden)
    assert (hidden.dtype, logits.dtype) == (torch.bfloat16, torch.float32)
    exact = x.double() @ layer.weight.double().t() + layer.bias.double()
    torch.testing.assert_close(hidden.double(), exact, atol=0.02, rtol=0.01)
    exact = hidden.double() @ head.weight.double().t() + head.bias.double()
    torch.testing.assert_close(logits.double(), exact, atol=1e-5, rtol=1e-5)
