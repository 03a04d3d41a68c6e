"""Names in torch that no network of vision computes with, and why each is left out."""

LOSSES = """
binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy ctc_loss
gaussian_nll_loss hinge_embedding_loss huber_loss kl_div l1_loss linear_cross_entropy
margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss
nll_loss poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss
triplet_margin_with_distance_loss
"""
"""What trains a network."""
OF_TEXT = """
conv_tbc embedding embedding_bag multi_head_attention_forward pdist
"""
"""Of text and of sets; attention is what it is written with."""
OF_VOLUMES = """
adaptive_max_pool3d_with_indices conv_transpose3d dropout3d fractional_max_pool3d
fractional_max_pool3d_with_indices lp_pool3d max_pool3d_with_indices max_unpool3d
"""
"""Of volumes."""
OF_PLACES = """
adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices affine_grid fractional_max_pool2d
fractional_max_pool2d_with_indices max_pool1d_with_indices max_unpool1d
"""
"""Places of largest values, and of samples."""
OF_TORCH = """
assert_int_or_pair boolean_dispatch grouped_mm handle_torch_function has_torch_function
has_torch_function_unary has_torch_function_variadic scaled_grouped_mm scaled_mm
"""
"""Of torch itself, and of its other devices."""
FUNCTIONS_ELSEWHERE = LOSSES + OF_TEXT + OF_VOLUMES + OF_PLACES + OF_TORCH
"""Of torch.nn.functional."""

SPARSE = """
ccol_indices coalesce col_indices crow_indices dense_dim indices is_coalesced resize_as_sparse_
row_indices smm sparse_dim sparse_mask sparse_resize_ sparse_resize_and_clear_ sspaddmm to_dense
to_mkldnn to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc
to_sparse_csr
"""
"""Sparse tensors."""
QUANT = """
dequantize int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale
q_zero_point qscheme
"""
"""Tensors of torch's own quantization."""
RANDOM = """
bernoulli cauchy_ exponential_ geometric_ log_normal_ multinomial normal_ random_ uniform_
"""
"""Random numbers."""
COMPLEX = """
cdouble cfloat chalf istft stft
"""
"""Complex numbers, and spectra of sounds."""
ALGEBRA = """
addbmm addmv addr cholesky cholesky_inverse cholesky_solve corrcoef cov det diag diagflat dist dot
eig geqrf ger inverse logdet lstsq lu lu_solve matrix_exp matrix_power mv orgqr ormqr pinverse qr
slogdet solve svd symeig trace triangular_solve vdot
"""
"""Linear algebra of vectors and matrices, which have no axis of images."""
SIZED = """
argwhere bincount count_nonzero histc histogram masked_select nonzero nonzero_static unique
unique_consecutive
"""
"""What is of a size that depends on values, or counts."""
NUMBERS = """
bitwise_left_shift bitwise_right_shift byte char frexp gcd igamma igammac isneginf isposinf isreal
lcm mvlgamma nextafter polygamma short type
"""
"""Whole numbers, bits, and functions of statistics."""
PLACES = """
as_strided as_strided_scatter fill_diagonal_ index index_put masked_scatter index_reduce put
scatter scatter_add scatter_reduce
"""
"""Writing to places and strides; what F and indexing write with them is in the tables."""
STORAGE = """
allclose apply_ as_subclass backward const_data_ptr copy_ cuda data_ptr dim dim_order element_size
equal get_device hash_tensor ipu is_complex is_conj is_contiguous is_distributed is_floating_point
is_inference is_neg is_nonzero is_pinned is_same_size is_set_to is_shared is_signed item map2_ map_
module_load mtia ndimension nelement new new_empty_strided numel numpy pin_memory record_stream
register_hook register_post_accumulate_grad_hook reinforce requires_grad_ resize resize_as
retain_grad set_ share_memory_ slice_inverse storage storage_offset storage_type stride sum_to_size
tolist untyped_storage xpu zero_
"""
"""No values: sizes, storage, devices, gradients, numbers of Python; or writing by rule."""
METHODS_ELSEWHERE = SPARSE + QUANT + RANDOM + COMPLEX + ALGEBRA + SIZED + NUMBERS + PLACES + STORAGE
"""Of torch.Tensor."""

REFUSED_COMPOSITES = """
_autocast_to_full_precision _autocast_to_reduced_precision _batch_norm_impl_index _unpack_dual
cartesian_prod coalesce dim imag is_contiguous linalg_diagonal narrow numel storage_offset sym_numel
sym_storage_offset tensor_split
"""
"""Composites that torch decomposes no further: of sizes, of training, with a tensor for a size."""
