"""Special functions against values from the tables (Abramowitz and Stegun; https://dlmf.nist.gov)."""

from __future__ import annotations

import math

import pytest

import jtorch as torch
import jtorch.special as special

X = torch.tensor([0.5, 1.0, 2.5, 10.0], dtype=torch.float64)


def close(tensor, expected, rel=1e-12) -> None:
    assert tensor.tolist() == pytest.approx(expected, rel=rel)


def test_bessel_functions() -> None:
    close(special.bessel_j0(X), [0.938469807240813, 0.765197686557967, -0.048383776468198, -0.245935764451348], 1e-11)
    close(special.bessel_j1(X), [0.242268457674874, 0.440050585744934, 0.497094102464274, 0.0434727461688614], 1e-11)
    close(special.bessel_y0(X), [-0.444518733506707, 0.088256964215677, 0.498070359615232, 0.0556711672835994], 1e-11)
    close(special.modified_bessel_k0(X), [0.924419071227666, 0.421024438240708, 0.0623475532003661, 1.77800623161676e-05], 1e-11)
    close(special.i1(X), [0.257894305390896, 0.565159103992485, 2.51671624528870, 2670.98830370126], 1e-11)
    close(special.airy_ai(torch.tensor([-2.5, 0.0, 1.0], dtype=torch.float64)), [-0.112325067692966, 0.355028053887817, 0.135292416312881], 1e-11)
    assert special.bessel_y0(torch.tensor([0.0])).item() == -math.inf


def test_gamma_family() -> None:
    close(torch.lgamma(X), [0.572364942924700, 0.0, 0.284682870472919, 12.8018274800815], 1e-11)
    close(torch.polygamma(1, X), [math.pi**2 / 2, math.pi**2 / 6, 0.490357756100235, 0.105166335681686], 1e-8)
    close(torch.polygamma(2, torch.tensor([1.0, -0.5], dtype=torch.float64)), [-2.40411380631919, -0.828796644234319], 1e-9)
    close(special.zeta(torch.tensor([2.0], dtype=torch.float64), 1), [math.pi**2 / 6])
    close(torch.igamma(X, X), [0.682689492137086, 0.632120558828558, 0.584119813004492, 0.542070285528148], 1e-11)
    assert torch.digamma(torch.tensor([0.0])).item() == -math.inf
    assert math.isnan(torch.digamma(torch.tensor([-1.0])).item())
    a, x = (torch.tensor([2.0], requires_grad=True) for _ in range(2))
    with pytest.raises(RuntimeError, match="is not implemented"):
        torch.igamma(a, x).sum().backward()


def test_error_functions() -> None:
    close(special.erfcx(X), [0.615690344192926, 0.427583576155807, 0.210806364061143, 0.0561409927438226], 1e-11)
    close(special.log_ndtr(torch.tensor([-30.0, 0.0], dtype=torch.float64)), [-454.321243956343, -math.log(2)], 1e-11)
    close(special.ndtri(special.ndtr(X[:3])), [0.5, 1.0, 2.5], 1e-9)
    assert special.entr(torch.tensor([-1.0, 0.0])).tolist() == [-math.inf, 0.0]


def test_polynomials() -> None:
    n = torch.tensor([0, 1, 3, -1])
    x = torch.tensor(0.5, dtype=torch.float64)
    close(special.chebyshev_polynomial_t(x, n), [1.0, 0.5, -1.0, 0.0])
    close(special.chebyshev_polynomial_u(x, n), [1.0, 1.0, -1.0, 0.0])
    close(special.hermite_polynomial_h(x, n), [1.0, 1.0, -5.0, 0.0])
    close(special.laguerre_polynomial_l(x, n), [1.0, 0.5, -7 / 48, 0.0])
    close(special.legendre_polynomial_p(x, n), [1.0, 0.5, -0.4375, 0.0])
    close(special.shifted_chebyshev_polynomial_w(0.75, torch.tensor([2.0], dtype=torch.float64)), [1.0])


def test_halves_are_refused_where_torch_refuses_them() -> None:
    with pytest.raises(NotImplementedError, match='"bessel_j0_cpu" not implemented for \'Half\''):
        special.bessel_j0(torch.ones(1, dtype=torch.float16))
