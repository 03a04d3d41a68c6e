"""How torch's calls are spelled, and what becomes of each: expressions of an image x [N, 3, 8, 8].

The name of every call that stands here counts as one that was seen to.
"""

from __future__ import annotations

HELD = """
x.clamp(0, 6)
x.clamp_min(0.1)
x.clamp_max(0.1)
x.clip(0, 6)
torch.clip(x, 0, 6)
torch.clamp(x, torch.tensor(0.0), torch.tensor(6.0))
torch.maximum(x, torch.tensor(0.0))
x.maximum(x * 2).minimum(x * 3)
x.max(x * 2).min(x * 3)
x.fmax(x * 2).fmin(x * 3)
torch.cat([x, x], 1)
torch.concat([x, x], 1)
torch.concatenate([x, x], 1)
torch.hstack([x, x])
torch.dstack([x, x])
torch.vstack([x, x])[: x.shape[0]]
torch.stack([x, x], 1).flatten(1, 2)
x * x
x.mul(x).multiply(x)
x.square()
x.pow(2) + x**3
x.abs() ** 1.5
2**x
x.sub(x * 2).subtract(0.5)
x.div(2.0).divide(3.0).true_divide(4.0)
x.neg().negative().positive()
x.add(x, alpha=0.5)
torch.sub(x, x * 2, alpha=0.5)
torch.rsub(x, 1.5)
x.reciprocal()
x.abs().absolute()
x.ceil().floor()
x.round()
x.trunc()
x.fix()
x.frac()
x.floor_divide(2)
x.div(0.5, rounding_mode="trunc")
x.remainder(0.25)
x.remainder(-2)
x.fmod(0.25)
x.sign() + x.sgn()
x.exp().log()
x.exp2() + x.expm1()
x.abs().log1p()
x.exp().log2() + x.exp().log10()
x.abs().sqrt()
x.exp().rsqrt()
x.sin() + x.cos() + x.tan()
x.atan().arctan()
x.erf() + x.erfc()
x.sigmoid() + x.tanh()
x.relu().softmax(1).log_softmax(2)
x.prelu(torch.tensor([0.1]))
x.hardshrink(0.5)
x.hypot(x * 2)
x.logsumexp(1)
x.deg2rad().rad2deg()
x.cross(x * 2, dim=1)
x.diff(dim=1)
x.cumsum(1)
x.cumsum(3)
x.inner(torch.ones(4, 8))
x.kron(torch.ones(1, 1, 2, 2))
torch.trapezoid(x, dim=1)
torch.gradient(x, dim=2)[0]
x.sum((2, 3))
x.sum(1, keepdim=True)
x.mean((1, 2, 3))
x.mean(1)
torch.stack([x, x * 2]).sum(0)
torch.stack([x, x * 2]).mean(0)
torch.stack([x, x * 2], 0).max(0).values
torch.stack([x, x * 2], 0).min(0).values
x.norm(dim=1, keepdim=True)
x.norm(p=1, dim=1)
torch.linalg.vector_norm(x, dim=(2, 3))
torch.linalg.norm(x, dim=1)
torch.linalg.vecdot(x, x)
x.var(1)
x.std((2, 3), keepdim=True)
torch.var_mean(x, 1)
torch.std_mean(x, (2, 3), keepdim=True)
x.amax(1)
x.amin((2, 3), keepdim=True)
x.aminmax(dim=1)
x.max(1)[0] + x.min(1)[0]
torch.cdist(x, x * 2)
torch.cdist(x.flatten(2), torch.ones(5, 64))
x.repeat(1, 2, 1, 1)
x.tile((1, 2, 1, 1))
x.expand_as(x).expand(-1, 3, 8, 8)
x.mean((2, 3), keepdim=True).expand(-1, -1, 8, 8) * x
x.mean((2, 3), keepdim=True).broadcast_to(x.shape)
x.mean((2, 3))[:, :, None, None].expand_as(x) + x
torch.broadcast_tensors(x, x[:, :1])[1]
x.repeat_interleave(2, 1)
x[:, [2, 0, 1]]
x[:, :, ::2]
x[:, -1]
x[..., None].squeeze(-1)
x.index_select(1, torch.tensor([2, 0]))
x.index_copy(1, torch.tensor([2, 0]), x[:, :2])
x.index_fill(1, torch.tensor([0]), 1.0)
x.select(1, 2).unsqueeze(1)
x.select_scatter(x[:, 0], 1, 1)
x.slice_scatter(x[:, :1], 1, 1, 2)
x.narrow(1, 0, 2) + x.narrow_copy(1, 1, 2)
x.flip(3).fliplr()
x.roll((1, 2), (2, 3))
x.rot90(1, (2, 3))
x.diagonal(dim1=2, dim2=3)
torch.linalg.diagonal(x, offset=-1)
x.split(2, 1)[0] + x.split_with_sizes([2, 1], 1)[0]
x.chunk(3, 1)[1] + x.tensor_split(3, 1)[2]
x.unbind(1)[2]
x.unsafe_chunk(3, 1)[0] + x.unsafe_split(1, 1)[1] + x.unsafe_split_with_sizes([1, 2], 1)[0]
x.hsplit(3)[0] + x.dsplit(2)[1].repeat(1, 1, 2, 1)
x.unfold(2, 2, 2).sum(-1)
x.unfold(2, 3, 2).unfold(3, 2, 1)
x.view(-1, 3, 64).permute(2, 0, 1)[0]
x.view_as(x).reshape_as(x)
x.reshape(x.shape[0], -1)
x.flatten(2).permute(2, 0, 1).permute(1, 2, 0)
x.transpose(1, 2).contiguous().view(x.shape[0], -1)
x.flatten(2).transpose(1, 2).reshape(-1, 64, 1, 3)
x.unflatten(1, (3, 1)).squeeze(2)
x.movedim(1, -1).moveaxis(-1, 1)
x.swapaxes(1, 2).swapdims(2, 3)
x.adjoint().conj()
x.mT @ x.mH
torch.atleast_3d(x)
x[0].ravel().reshape(1, 3, 8, 8) if x.shape[0] == 1 else x
x.matmul(x.transpose(2, 3))
x.mean((2, 3)).mm(torch.ones(5, 3).t())
torch.addmm(torch.ones(5), x.mean((2, 3)), torch.ones(3, 5))
x.mean((2, 3)).unsqueeze(1).matmul(torch.ones(3, 2))
x @ torch.ones(8, 4)
torch.ones(4, 8) @ x
x.flatten(2).bmm(x.flatten(2).transpose(1, 2))
x[:, 0].baddbmm(x[:, 1], x[:, 2])
torch.einsum("bchw,bchv->bcwv", x, x)
torch.tensordot(x, torch.ones(8, 4), 1)
(x.view(-1, 8, 8) @ x.view(-1, 8, 8).mT).softmax(-1).reshape(x.shape)
x.addcmul(x, x, value=0.5)
x.addcdiv(x, x.abs() + 1)
x.lerp(x * 2, 0.3)
x.clone().fill_(1.0) + x
x.type_as(x).to(torch.float32).float()
x.detach().resolve_conj().resolve_neg().conj_physical().cpu()
x.new_full((1, 1, 1, 1), 2) * x
x.new_zeros(8) + x.new_ones(8) + x
x + x.new_tensor([1.0]) + x.new_empty(8).fill_(2.0)
x + torch.zeros_like(x) + torch.full_like(x, 2.0)
x.size(1) * x
torch.arange(3).type_as(x).view(1, 3, 1, 1) * x
torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")[0] + x
torch.outer(torch.ones(3), torch.ones(3)) + x[..., :3, :3]
torch.cat([x, torch.ones(1, 1, 8, 8).expand(x.shape[0], 1, 8, 8)], 1)
torch.special.expit(x) + torch.special.ndtr(x)
F.one_hot(torch.arange(3), 3) * 1.0 + x[..., :3, :3]
F.adaptive_avg_pool1d(x[:, 0], 3)
F.adaptive_avg_pool2d(x, 3)
F.adaptive_max_pool1d(x[:, 0], 2)
F.adaptive_max_pool2d(x, 3)
F.avg_pool1d(x[:, 0], 2)
F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
F.batch_norm(x, torch.zeros(3), torch.ones(3))
F.celu(x, 0.7)
F.channel_shuffle(x.repeat(1, 2, 1, 1), 2)
F.native_channel_shuffle(x.repeat(1, 2, 1, 1), 2)
F.conv1d(x[:, 0], torch.ones(4, 8, 3))
F.conv2d(x, torch.ones(4, 3, 3, 3), padding="same")
F.conv_transpose1d(x[:, 0], torch.ones(8, 4, 3))
F.conv_transpose2d(x, torch.ones(3, 4, 2, 2), stride=2)
F.cosine_similarity(x, x * 2)
F.dropout(x, 0.5, training=False) + F.dropout1d(x[:, 0], training=False)[:, None]
F.dropout2d(x, training=False) + F.alpha_dropout(x) + F.feature_alpha_dropout(x)
F.elu(x)
F.gelu(x) + F.gelu(x, approximate="tanh")
F.glu(x.repeat(1, 2, 1, 1), 1)
F.group_norm(x.repeat(1, 2, 1, 1), 3, torch.ones(6) * 2, torch.ones(6))
F.hardshrink(x)
F.hardsigmoid(x)
F.hardswish(x)
F.hardtanh(x)
F.instance_norm(x)
F.interpolate(x, scale_factor=2, mode="nearest-exact")
F.interpolate(x, scale_factor=2, mode="bicubic")[:, :, 4:6, 4:6]
F.upsample(x, scale_factor=2)
F.upsample_nearest(x, scale_factor=2)
F.upsample_bilinear(x, scale_factor=2)
F.layer_norm(x, (8,))
F.layer_norm(x.permute(0, 2, 3, 1), (3,), torch.ones(3) * 2, torch.ones(3))
F.leaky_relu(x)
F.linear(x, torch.ones(4, 8), torch.ones(4))
F.local_response_norm(x, 3)
F.log_softmax(x, 1)
F.logsigmoid(x)
F.lp_pool1d(x[:, 0].abs(), 2, 2)
F.lp_pool2d(x.abs(), 2, 2)
F.max_pool1d(x[:, 0], 2)
F.max_pool2d(x, 2, return_indices=True)[0] + F.max_pool2d(x, 2)
F.max_pool2d_with_indices(x, 2)[0]
F.mish(x)
F.normalize(x, dim=1)
F.pad(x, (-1, 1, 0, -2))
F.pad(x, (1, 1, 1, 1), mode="reflect")
F.pad(x, (1, 2, 1, 0), mode="replicate")
F.pad(x, (1, 2, 1, 0), mode="circular")
F.pixel_shuffle(x[:, :1].repeat(1, 4, 1, 1), 2)
F.pixel_unshuffle(x, 2)
F.pairwise_distance(x, x * 2)
F.prelu(x, torch.tensor([0.1, 0.2, 0.3]))
F.relu(x) + F.relu6(x)
F.rms_norm(x, (8,))
F.rrelu(x, training=False)
F.scaled_dot_product_attention(x, x, x)
F.selu(x)
F.sigmoid(x) + F.tanh(x)
F.silu(x)
F.softmax(x, 1) + F.softmin(x, 1)
F.softplus(x)
F.softshrink(x)
F.softsign(x)
F.tanhshrink(x)
F.threshold(x, 0.1, 20)
F.unfold(x, 3)
F.unfold(x, (3, 2), padding=(1, 0), stride=2, dilation=(1, 2))
x.sum((2, 3)).size(1) * x.hardshrink()
"""
"""Written with ops that integers have."""

FLOAT = """
torch.where(x > 0, x, x * 0.1)
x.where(x > 0, x * 0.1)
x.masked_fill(torch.eye(8) > 0, -1.0)
x * (x > 0)
x * x.gt(0).float()
x.ge(0).to(x.dtype) * x
x.greater(0) * 1.0 + x.greater_equal(0.1) * 1.0
x.lt(0) * 1.0 + x.le(0.1) * 1.0 + x.less(0.2) * 1.0 + x.less_equal(0.3) * 1.0
x.eq(x) * 1.0 + x.ne(x) * 1.0 + x.not_equal(0) * 1.0
((x > 0.5) | (x < 0.1)).float() + ((x > 0.5) & (x < 0.9)).float() + (~(x > 0.5)).float()
((x > 0) ^ (x > 1)).float()
((x > 0).bitwise_and(x < 1).bitwise_or(x > 2).bitwise_xor(x > 3).bitwise_not()).float()
((x > 0).logical_and(x < 1).logical_or(x > 2).logical_xor(x > 3).logical_not()).float()
((x > 0) + (x < 0.1)).float()
(x > 0).any(1).float() + (x > 0).all(1).float()
x.bool().float()
x.isnan().float() + x
x.nan_to_num()
x.nansum(1)
x.sigmoid().logit()
x.sinc()
x.tril()
x.triu()
x.diag_embed()
"""
"""Written with comparisons and choices, which are computed in float."""

REFUSED = {
    "x.half().float()": "converts values to float16",
    "x.bfloat16().float()": "converts values to bfloat16",
    "x.double() * 2": "converts values to float64",
    "x.float_power(2)": "converts values to float64",
    "x.int() * 2": "converts values to int32",
    "x.long() * 2": "converts values to int64",
    "x.argmax(1)": "whole numbers",
    "x.argmin(1)": "whole numbers",
    "x.argsort(1)": "puts values in order",
    "torch.bucketize(x, torch.tensor([0.1]))": "whole numbers",
    "x.topk(2, 1)[0]": "whole numbers",
    "x.sort(1)[0]": "puts values in order",
    "x.msort()": "puts values in order",
    "x.median(1)[0]": "puts values in order",
    "x.nanmedian(1)[0]": "puts values in order",
    "x.mode(1)[0]": "puts values in order",
    "x.kthvalue(1, 1)[0]": "puts values in order",
    "x.quantile(0.5, dim=1)": "puts values in order",
    "x.nanquantile(0.5, dim=1)": "puts values in order",
    "x.cummax(1)[0]": "puts values in order",
    "x.cummin(1)[0]": "puts values in order",
    "x.floor_divide(3)": "power of two",
    "x.div(3, rounding_mode='floor')": "power of two",
    "x.remainder(0.3)": "power of two",
    "x.fmod(0.3)": "power of two",
    "x.masked_fill(x > 1, float('-inf'))": "infinity",
    "F.dropout(x, 0.5)": "left in training",
    "F.gumbel_softmax(x)": "random",
    "F.conv2d(x, x[:, :, :3, :3])": "computed from the image",
    "F.adaptive_avg_pool3d(x, 2)": "adaptive_avg_pool3d",
    "F.adaptive_max_pool2d(x, 2, return_indices=True)": "whole numbers",
    "F.adaptive_max_pool3d(x, 2)": "adaptive_max_pool3d",
    "F.avg_pool3d(x, 2)": "avg_pool3d",
    "F.max_pool3d(x, 2)": "max_pool3d",
    "F.conv3d(x[:, None], torch.ones(1, 1, 2, 2, 2))": "three axes",
    "F.fold(x.reshape(-1, 12, 16), (8, 8), 2, stride=2)": "",
    "F.grid_sample(x, x[:, 0, :4, :4, None].expand(-1, 4, 4, 2).tanh())": "",
    "F.bilinear(x, x, torch.ones(2, 8, 8))": "",
    "F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)": "whole numbers",
    "x.gather(1, torch.zeros(1, 1, 8, 8).long().expand(x.shape[0], 1, 8, 8))": "gather",
    "x.take_along_dim(torch.zeros(1, 1, 8, 8).long(), 1)": "gather",
    "x.index_add(1, torch.tensor([0]), x[:, :1])": "index_put",
    **{
        f"x.{call}": "has no form here, neither in integers nor in float"
        for call in (
            *("acos()", "asin()", "arccos()", "arcsin()", "arctan2(x)", "arctanh()", "arccosh()"),
            *(
                "arcsinh()",
                "digamma()",
                "ldexp(torch.ones(1))",
                "diagonal_scatter(x[:, :, 0], 0, 2, 3)",
            ),
            *("acosh()", "angle()", "asinh()", "atan2(x)", "atanh()", "copysign(x)", "cosh()"),
            *("cumprod(1)", "erfinv()", "heaviside(torch.zeros(1))", "i0()", "isclose(x)"),
            *("isfinite()", "isinf()", "lgamma()", "logaddexp(x)", "logaddexp2(x)"),
            *("logcumsumexp(1)", "nanmean(1)", "prod(1)", "signbit()", "sinh()", "xlogy(x)"),
        )
    },
}
"""Kept as opaque nodes, with a reason."""

MIXED = """
x.mean()
x.max()
x.sum(0, keepdim=True)
x - x.mean(0)
x.flip(0)
x.flipud()
x.ravel()
x.reshape(-1, 8, 8)
x.reshape(-1, 8, 8) @ x.reshape(-1, 8, 8)
x.transpose(0, 1)
x.T
x.renorm(2, 1, 1.0)
x.vsplit(1)[0].sum(0)
x.roll(1, 0) + x.cumsum(0)
x.take(torch.tensor([0]))
"""
"""Give an image other values alone than beside others, or lose the axis of the batch."""
