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
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};

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
    SharedHttpClient::new(OnFirstCall(trusting(Roots::of(environment).trust_store())))
}

fn trusting(roots: TrustStore) -> SharedHttpClient {
    let trusted = TlsContext::builder().with_trust_store(roots).build();
    let trusted = trusted.expect("a trust store of well-formed certificates is a valid context");
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(trusted).build_https()
}

/// Sets TLS up at the first call. The SDK's own client also does it for each service client that is made, to find
/// system roots that can't be read, and throws it away.
#[derive(Debug)]
struct OnFirstCall(SharedHttpClient);

impl HttpClient for OnFirstCall {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}

#[cfg(test)]
mod tests {
    use aws_config::Region;
    use aws_sdk_sqs::{
        Client,
        config::{BehaviorVersion, Credentials, SharedCredentialsProvider, retry::RetryConfig},
    };
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    use sha2::{Digest as _, Sha256};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

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

    /// An endpoint on this machine, with a certificate for `localhost` of an authority of its own: its URL, and the
    /// authority's certificate. It takes every message.
    async fn endpoint() -> (String, String) {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![own.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let body = r#"{"MessageId":"1"}"#;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        (url, authority.pem())
    }

    async fn send(client: SharedHttpClient, url: &str) -> Result<(), String> {
        let credentials = SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test"));
        let config = aws_sdk_sqs::Config::builder().behavior_version(BehaviorVersion::latest()).http_client(client);
        let config = config.region(Region::from_static("us-east-1")).credentials_provider(credentials);
        let config = config.endpoint_url(url).retry_config(RetryConfig::disabled()).build();
        let sent = Client::from_conf(config).send_message().queue_url(format!("{url}/0/q")).message_body("{}").send();
        sent.await.map(drop).map_err(|error| format!("{error:?}"))
    }

    #[tokio::test]
    async fn an_endpoint_whose_authority_is_not_amazons_gets_no_call() {
        let (url, _) = endpoint().await;
        let environment = [("AWS_REGION", "us-east-1")].into_iter().collect();
        let refused = send(http_client(&environment), &url).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }

    #[tokio::test]
    async fn an_endpoint_whose_authority_is_trusted_is_called() {
        let (url, authority) = endpoint().await;
        let roots = TrustStore::empty().with_pem_certificate(authority.as_bytes());
        send(SharedHttpClient::new(OnFirstCall(trusting(roots))), &url).await.unwrap();
    }
}
