"""The OpenID provider of the tests: oidc-provider-mock with Authlib's own check of PKCE.

The provider is built on Authlib and leaves its PKCE extension out, so a client that sends a wrong
verifier would not be noticed. Arguments: the address and the port to serve on.
"""

import sys

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc7636 import CodeChallenge
from oidc_provider_mock import _app, app
from werkzeug.serving import make_server


class Pkce(CodeChallenge):
    """Keeps challenges beside the provider's codes, which have no field for them."""

    challenges = {}

    def get_authorization_code_challenge(self, authorization_code):
        return self.challenges[authorization_code.code][0]

    def get_authorization_code_challenge_method(self, authorization_code):
        return self.challenges[authorization_code.code][1]


class CodeGrant(_app.AuthorizationCodeGrant):
    def save_authorization_code(self, code, request):
        data = request.payload.data
        Pkce.challenges[code] = (data.get("code_challenge"), data.get("code_challenge_method"))
        super().save_authorization_code(code, request)


register_grant = AuthorizationServer.register_grant


def register_with_pkce(server, grant, extensions=None):
    if grant is _app.AuthorizationCodeGrant:
        grant, extensions = CodeGrant, [*extensions, Pkce(required=True)]
    register_grant(server, grant, extensions)


AuthorizationServer.register_grant = register_with_pkce
server = make_server(sys.argv[1], int(sys.argv[2]), app(require_nonce=True), threaded=True)
print("listening", flush=True)
server.serve_forever()
