// A TLS server on loopback with a certificate that nobody signed but itself. Serves one connection and remembers what
// it was told: whoever verifies certificates tells it nothing.
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

namespace overnight::fakes {

class SelfSignedServer {
 public:
  SelfSignedServer() : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_version(certificate.get(), X509_VERSION_3);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1,
                               0);
    X509_set_issuer_name(certificate.get(), name);
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate.get(), names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    SSL_CTX_use_certificate(context_.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), key.get());
    listen_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listen_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listen_, 4);
    getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    serving_ = std::thread([this] { serve(); });
  }
  ~SelfSignedServer() {
    shutdown(listen_, SHUT_RDWR);
    if (serving_.joinable()) serving_.join();
    close(listen_);
  }
  SelfSignedServer(const SelfSignedServer&) = delete;
  SelfSignedServer& operator=(const SelfSignedServer&) = delete;

  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }

  // What was sent to it behind the handshake, after the connection is over.
  std::string heard() {
    serving_.join();
    return heard_;
  }

 private:
  void serve() {
    const int connection = accept(listen_, nullptr, nullptr);
    if (connection < 0) return;
    const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(tls.get(), connection);
    char chunk[4096];
    if (SSL_accept(tls.get()) == 1) {
      if (const int n = SSL_read(tls.get(), chunk, sizeof chunk); n > 0)
        heard_.assign(chunk, static_cast<std::size_t>(n));
    }
    close(connection);
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  int listen_ = -1;
  int port_ = 0;
  std::thread serving_;
  std::string heard_;
};

}  // namespace overnight::fakes
