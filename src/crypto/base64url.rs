//! The engine for base64url (RFC 4648, section 5) without padding, strict: no padding, no spare bits.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd;
use base64::engine::general_purpose;

/// Takes the machine's vector instructions where it has them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(general_purpose::NO_PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) static BASE64URL: &general_purpose::GeneralPurpose = &general_purpose::URL_SAFE_NO_PAD;
