-- Redis runs Lua 5.1 with some libraries of its own and without those that reach outside.
std = "lua51"
read_globals = { "redis", "KEYS", "ARGV", "cjson", "cmsgpack" }
not_globals = { "dofile", "io", "loadfile", "module", "os", "package", "print", "require" }
max_line_length = 100
max_comment_line_length = 110 -- the arguments of a script stand in one line
-- A rendered script holds all that its includes offer, also what it has no use for. A test sees to
-- it that some script uses each of them.
ignore = { "211" }
