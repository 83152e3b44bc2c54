//! The one HTTP client of a function, and whom it trusts.
//!
//! A function calls AWS and nobody else. AWS's endpoints have certificates of Amazon Trust Services, which asks those who
//! keep a trust store of their own to take its five roots (<https://www.amazontrust.com/repository/>). They are part of
//! the binary: to read and parse the system's, some 150, took longer than the rest of a start.
//!
//! So a certificate authority that someone added to the system is not trusted, as of a proxy that opens TLS. Who needs
//! it names its certificates in `SSL_CERT_FILE` or `SSL_CERT_DIR`: then those are read, and the five are not.

use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::Environment;

/// Amazon Root CA 1 to 4 and Starfield Services Root Certificate Authority - G2. The first expires at the end of 2037.
const AMAZON: &[u8] = include_bytes!("amazon_roots.pem");

/// Whose certificates are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roots {
    Amazon,
    /// The system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
}

impl Roots {
    fn of(environment: &Environment) -> Self {
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| environment.optional(name).is_some());
        let region = environment.optional("AWS_REGION").unwrap_or_default();
        // Isolated Regions have authorities of their own; of China's it is not documented that they have Amazon's.
        let others = region.starts_with("cn-") || region.contains("-iso");
        if named || others { Self::System } else { Self::Amazon }
    }

    fn trust_store(self) -> TrustStore {
        match self {
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON),
            Self::System => TrustStore::default(),
        }
    }
}

/// A client for all SDK clients of a function: they share its connections. It is HTTPS-capable whatever the endpoints,
/// and serves plain HTTP too.
pub(crate) fn http_client(environment: &Environment) -> SharedHttpClient {
    let trusted = TlsContext::builder().with_trust_store(Roots::of(environment).trust_store()).build();
    let trusted = trusted.expect("a trust store of well-formed certificates is a valid context");
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(trusted).build_https()
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// SHA-256 of each root, as Amazon Trust Services publishes it.
    const PUBLISHED: [&str; 5] = [
        "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
        "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
        "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
        "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    ];

    fn roots(variables: &[(&str, &str)]) -> Roots {
        Roots::of(&variables.iter().copied().collect())
    }

    #[test]
    fn the_bundle_is_the_five_roots_that_amazon_publishes() {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(AMAZON).map(Result::unwrap).collect();
        let fingerprint = |certificate: &CertificateDer<'_>| {
            Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(certificates.iter().map(fingerprint).collect::<Vec<_>>(), PUBLISHED);
    }

    #[test]
    fn amazons_roots_are_trusted_where_amazon_signs() {
        for region in ["us-east-1", "us-gov-west-1", "eusc-de-east-1"] {
            assert_eq!(roots(&[("AWS_REGION", region)]), Roots::Amazon, "{region}");
        }
    }

    #[test]
    fn the_systems_roots_are_trusted_where_others_sign() {
        for region in ["cn-north-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1"] {
            assert_eq!(roots(&[("AWS_REGION", region)]), Roots::System, "{region}");
        }
    }

    #[test]
    fn certificates_that_a_variable_names_are_trusted_instead() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            assert_eq!(roots(&[("AWS_REGION", "us-east-1"), (name, "/private")]), Roots::System, "{name}");
        }
    }
}
