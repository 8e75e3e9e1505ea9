"""Who is a peer and whose key is whose: registrations, handshakes and the keys of origins."""
