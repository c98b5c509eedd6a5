"""What tests of several folders share: small meshes, stand-ins for servers, oracles, and how programs are started."""
