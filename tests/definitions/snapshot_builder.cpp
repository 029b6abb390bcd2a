#include "tests/definitions/snapshot_builder.hpp"

#include "erlang_port/external_term.hpp"

#include <algorithm>

namespace snapshot_builder {

using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::tuple;

std::optional<std::string_view> MemorySource::next() {
    if (position_ == bytes_.size()) {
        return std::nullopt;
    }
    const auto size = std::min(piece_size_, bytes_.size() - position_);
    const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(position_);
    piece_ = std::vector<char>(begin, begin + static_cast<std::ptrdiff_t>(size));
    position_ += size;
    return std::string_view(piece_.data(), piece_.size());
}

std::string payload(const std::vector<Term>& items) {
    std::string bytes;
    erlang::encode_message(list(items), bytes);
    return bytes;
}

std::string chunk(const std::vector<Term>& items) {
    const auto term = payload(items);
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes += static_cast<char>(term.size() >> shift & 0xFFU);
    }
    return bytes + term;
}

Term deletion(std::string_view table, Term key) {
    return tuple({atom(table), std::move(key)});
}

Term put(const std::vector<std::string_view>& path, Term data) {
    std::vector<Term> parts;
    for (const auto part : path) {
        parts.push_back(part.starts_with(':') ? atom(part.substr(1)) : binary(part));
    }
    return tuple({atom("put"), list(parts), tuple({atom("p_data"), std::move(data)}), map({})});
}

Term resource(std::string_view vhost, std::string_view kind, std::string_view name) {
    return tuple({atom("resource"), binary(vhost), atom(kind), binary(name)});
}

Term user(std::string_view name, std::vector<Term> tags) {
    return tuple({atom("internal_user"), binary(name), binary("\x01\xFEhash"),
                  list(std::move(tags)), atom("rabbit_password_hashing_sha256"), map({})});
}

Term vhost(std::string_view name) {
    return tuple({atom("vhost"), binary(name), list({}), map({{"description", binary("d")}})});
}

Term queue(std::string_view vhost, std::string_view name, Term arguments) {
    std::vector<Term> elements = {atom("amqqueue"), resource(vhost, "queue", name),
                                  atom("true"),     atom("false"),
                                  atom("none"),     std::move(arguments)};
    elements.resize(19);
    elements.push_back(atom("rabbit_classic_queue"));
    elements.push_back(map({}));
    return tuple(elements);
}

Term some_pid() {
    return erlang::Opaque{erlang::Opaque::Kind::pid,
                          std::string("Xw\x01n\0\0\0\1\0\0\0\2\0\0\0\3", 16)};
}

Term exchange(std::string_view vhost, std::string_view name, Term arguments) {
    std::vector<Term> elements = {atom("exchange"),    resource(vhost, "exchange", name),
                                  atom("topic"),       atom("true"),
                                  atom("false"),       atom("false"),
                                  std::move(arguments)};
    elements.resize(12);
    return tuple(elements);
}

Term binding(std::string_view vhost, std::string_view source, std::string_view destination,
             std::string_view key, Term arguments) {
    return tuple({atom("binding"), resource(vhost, "exchange", source), binary(key),
                  resource(vhost, "queue", destination), std::move(arguments)});
}

Term route(Term binding) {
    return tuple({atom("route"), std::move(binding), atom("const")});
}

Term parameter(std::string_view vhost, std::string_view component, std::string_view name,
               Term value) {
    return tuple({atom("runtime_parameters"),
                  tuple({binary(vhost), binary(component), binary(name)}), std::move(value)});
}

Term global_parameter(std::string_view name, Term value) {
    return tuple({atom("runtime_parameters"), atom(name), std::move(value)});
}

Term policy_value(std::string_view pattern, Term definition) {
    return list({tuple({binary("pattern"), binary(pattern)}),
                 tuple({binary("definition"), std::move(definition)}),
                 tuple({binary("priority"), integer(7)}),
                 tuple({binary("apply-to"), binary("queues")})});
}

Term with(Term tuple, std::size_t n, Term element) {
    std::get<erlang::Tuple>(tuple.value()).elements.at(n) = std::move(element);
    return tuple;
}

Term in_table(std::string_view table, Term record) {
    return with(std::move(record), 0, atom(table));
}

}  // namespace snapshot_builder
