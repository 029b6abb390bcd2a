#include "sidecar/rabbitmq_version.hpp"

#include <catch2/catch.hpp>

using hot_backup::RabbitmqVersion;

TEST_CASE("a version is read as far as it is three numbers") {
    CHECK(RabbitmqVersion::of("3.10.8") == RabbitmqVersion{3, 10, 8});
    CHECK(RabbitmqVersion::of("4.0.5-rc.1") == RabbitmqVersion{4, 0, 5});
    CHECK(RabbitmqVersion::of("4.2.0+12.g1a2b3c4") == RabbitmqVersion{4, 2, 0});
    CHECK(RabbitmqVersion::of("3.8.9.ez") == RabbitmqVersion{3, 8, 9});
    CHECK(RabbitmqVersion::of("0.0.0") == RabbitmqVersion{});
    for (const char* text : {"", "unknown", "4", "4.1", "4.1.", "4.1-rc.1", ".1.2", "4..1"}) {
        CHECK_FALSE(RabbitmqVersion::of(text));
    }
}

TEST_CASE("versions are compared by their numbers") {
    CHECK(RabbitmqVersion::of("3.10.8") > RabbitmqVersion::of("3.9.29"));
    CHECK(RabbitmqVersion::of("4.0.0") > RabbitmqVersion::of("3.13.7"));
    CHECK(RabbitmqVersion::of("4.0.9") < RabbitmqVersion::of("4.0.10"));
    CHECK(RabbitmqVersion::of("unknown") < RabbitmqVersion::of("0.0.0"));
}
