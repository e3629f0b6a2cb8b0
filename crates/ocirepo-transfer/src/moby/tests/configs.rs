//! Configs against the image IDs that the code of docker 24 gave to the same documents.

use ocirepo_store::Digest;

use crate::moby::v1::{V1Json, config};

/// The config of documents from the base up, each with a layer whose content is `layer <n>`.
fn config_of(documents: &[&str]) -> String {
    let layers: Vec<V1Json> =
        documents.iter().map(|document| V1Json::parse(document.as_bytes()).unwrap()).collect();
    let diff_ids = (1..).map(|n| Digest::sha256(format!("layer {n}").as_bytes()));
    let chain: Vec<(&V1Json, Digest)> = layers.iter().zip(diff_ids).collect();
    String::from_utf8(config(&chain).unwrap()).unwrap()
}

/// Documents, the base first, and the image ID of the last one.
const CASES: &[(&str, &[&str], &str)] = &[
    ("nothing", &[r##"{"id":"a"}"##], "0982e214eb1f0b05cb9c1d344c14f0731b4bb624dd352e7280ddf52f22748b5d"),
    (
        "nulls",
        &[
            r##"{"id":null,"parent":null,"comment":null,"created":null,"container":null,"container_config":null,"docker_version":null,"author":null,"config":null,"architecture":null,"os":null,"Size":null}"##,
        ],
        "0982e214eb1f0b05cb9c1d344c14f0731b4bb624dd352e7280ddf52f22748b5d",
    ),
    (
        "nulls, kept",
        &[
            r##"{"id":null,"parent":null,"comment":null,"created":null,"container_config":null,"docker_version":"1.9.0","author":null,"config":null,"os":null,"Size":null}"##,
        ],
        "f361dbadbb5958429fd70a31e9b196d93bd038a3c8b70d8c42a6c3b27d8e04b2",
    ),
    (
        "an empty config",
        &[r##"{"id":"a","created":"2015-01-02T03:04:05Z","config":{},"container_config":{}}"##],
        "0a48656e7414dbd35586135ef2a2283417cbf1a2fe6dafd6ed08ffe08640b71e",
    ),
    (
        "everything",
        &[
            r##"{"id":"a","comment":"a <comment> & more","created":"2015-01-02T03:04:05.600700800Z","container":"cafe",
        "container_config":{"Hostname":"cafe","Cmd":["/bin/sh","-c","#(nop) CMD [\"a\" && <b>]"],"Image":"x"},
        "docker_version":"1.7.1","author":"Jörg <j@example.org>","architecture":"arm","variant":"v7","os":"linux","Size":12345,
        "config":{"Hostname":"h","Domainname":"d","User":"u","Memory":0,"CpuShares":0,"AttachStdin":true,"AttachStdout":true,
            "AttachStderr":true,"PortSpecs":null,"ExposedPorts":{"8080/tcp":{},"53/udp":{},"443/tcp":{}},"Tty":true,"OpenStdin":true,
            "StdinOnce":true,"Env":["PATH=/bin","A=\u00e9 \ud83d\ude00"],"Cmd":["a","b"],"Image":"sha256:1","Volumes":{"/z":{},"/a b":{}},
            "WorkingDir":"/w","Entrypoint":["/e"],"NetworkDisabled":true,"MacAddress":"02:42:ac:11:00:02","OnBuild":["RUN x"],
            "Labels":{"b":"2","a":"<1>"},"StopSignal":"SIGTERM","VolumeDriver":"","PublishService":"p"}}"##,
        ],
        "c88c31257aa058d0253e7f3020857adb200720a21e48efc568be6a6f1ced9361",
    ),
    (
        "later members",
        &[
            r##"{"config":{"Healthcheck":{"Test":["CMD","x"],"Interval":30000000000,"Timeout":0,"StartPeriod":1,"StartInterval":2,"Retries":3},
        "ArgsEscaped":true,"StopTimeout":0,"Shell":["/bin/sh","-c"]},"os.version":"10","os.features":["x"],"moby.buildkit.x":1}"##,
        ],
        "59f69acf5c002d8f566329ffb4ac195a546c5fb62f67aafaf49afb25b0eecb06",
    ),
    (
        "an empty healthcheck",
        &[r##"{"config":{"Healthcheck":{},"Shell":[],"StopTimeout":10,"ArgsEscaped":false}}"##],
        "d131eda4eabd731ad09f3c3c73acf7be7f6028681fd35c9b3b18a4db8a8d6473",
    ),
    (
        "empty and null lists",
        &[
            r##"{"config":{"Env":[],"Cmd":[],"Entrypoint":null,"OnBuild":[],"Volumes":{},"ExposedPorts":{},"Labels":{}},
        "container_config":{"Env":null,"Cmd":null,"Entrypoint":[],"OnBuild":null,"Volumes":null,"ExposedPorts":null,"Labels":null}}"##,
        ],
        "2b2b040a51eab6a133d51986712c8ac2b396c6593f3cb8e43f9de2bc7a7214f0",
    ),
    (
        "a text for a list",
        &[r##"{"config":{"Cmd":"ls -l","Entrypoint":""},"container_config":{"Cmd":"echo"}}"##],
        "e4ca5e35ded4b2037b4e181fc7782eb2f79f1870021424a1446b424f36706b3f",
    ),
    (
        "nulls inside",
        &[
            r##"{"config":{"Env":["A=1",null],"Labels":{"a":null},"Volumes":{"/v":null},"ExposedPorts":{"1/tcp":{"x":[]}}}}"##,
        ],
        "20ebe30476bd3c14d06ff826ddd18ab8d83784a9b63aad997443a71895871a28",
    ),
    (
        "a local time",
        &[r##"{"created":"2013-06-13T14:03:50.821769000-07:00"}"##],
        "f625155eb82c4344996f2e07a4073e674c7c220b5eaafd471ba44c65a616c32c",
    ),
    (
        "a time of UTC as an offset",
        &[r##"{"created":"2013-06-13T14:03:50.000+00:00","docker_version":"1.10.0"}"##],
        "1018e52fa2111e12dd7f5278ca7daac26b727cd975265db08829f2483e82801d",
    ),
    (
        "kept as it is",
        &[r##"{ "os" : "linux",
        "id" : "a", "parent_id":"b", "layer_id":"c", "throwaway":true, "Size":1, "parent":"", "rootfs":1, "history":{},
        "created":"2013-06-13T14:03:50.000+00:00", "docker_version":"1.8.3", "architecture":"amd64", "author":"\u003ca\u003e <b> \/ \u00e9",
        "config":{"Labels":{"z":"1", "a":"\u2028"}, "Cmd":null,"New":1.50e+2,"Env":[ "A=1 &  2" ]}, "variant":"", "Zebra":[ ], "a<b":0,
        "container_config":{"Cmd":["a","<b>"]}}"##],
        "cb443e7fcb812b2ae6db96289ef6625e2a9efbb3294ebfbc68a72645b565092b",
    ),
    (
        "names of another case",
        &[
            r##"{"ID":"a","OS":"linux","Architecture":"amd64","CONFIG":{"env":["A=1"],"CMD":["x"]},"Created":"2015-01-01T00:00:00Z"}"##,
        ],
        "855d87d4457cbd3922b38358dc205f391ab394d197ce38e959a591e5c61bd288",
    ),
    (
        "names of another case, kept",
        &[
            r##"{"ID":"a","OS":"linux","Docker_Version":"1.12.0","AUTHOR":"me","Container_Config":{"cmd":["x"]},"size":1}"##,
        ],
        "f07192a6afbe771e3ef5d5827f0ec5b3f643edfc972832b5bcbc4f5b2d62064c",
    ),
    (
        "control characters",
        &[r##"{"author":"\u0000\u0008\u000c\t\r\n\u001f\u007f\\\"\/","comment":"\u2028\u2029"}"##],
        "21aad9e0ded6a6b36eaf397234fa0b25cee14f993dc00d63c6b28e866e200ad4",
    ),
    (
        "version 1.8.2",
        &[r##"{"docker_version":"1.8.2","x":1}"##],
        "9e4a0886a1f52d7e1fab05bb4fe6863ccdfe7cd5ce2d60517a2f0d9ece4dd4bf",
    ),
    (
        "version 1.8.3",
        &[r##"{"docker_version":"1.8.3","x":1}"##],
        "93e8f7afe96d2b8156a4160fa76b47767313144c33f4244b1e7c16d4c8c6fa6c",
    ),
    (
        "version 1.8",
        &[r##"{"docker_version":"1.8","x":1}"##],
        "0dd343bbc7af0859af5e0560f49190f0a2b1c804c28c9fef569e3fb244ddf475",
    ),
    (
        "version 1.9",
        &[r##"{"docker_version":"1.9","x":1}"##],
        "3a48776233d406cac86e302605aeaa8841f726c5067535cde681e927564365f9",
    ),
    (
        "version 1.8.10",
        &[r##"{"docker_version":"1.8.10","x":1}"##],
        "e40ad3baa7d53550687d261b8ed1cd03623fa8973bac258633357a1429e22431",
    ),
    (
        "version 1.8.3.0",
        &[r##"{"docker_version":"1.8.3.0","x":1}"##],
        "733079b34435d6f27c2fa865f9cb499b183d6507b3f42ba91263ea5d72355105",
    ),
    (
        "version 1.8.3-rc1",
        &[r##"{"docker_version":"1.8.3-rc1","x":1}"##],
        "b9442a5ee5fa543e11094da58932e44ee4b59999a4dc7257cbb9df1c488dba87",
    ),
    (
        "version 1.8.2-el7.centos",
        &[r##"{"docker_version":"1.8.2-el7.centos","x":1}"##],
        "c1770144339041ec59daa8cc94612a92f15b13e9cb3f13e705621b1ffed61438",
    ),
    (
        "version 1.9.1-fc23",
        &[r##"{"docker_version":"1.9.1-fc23","x":1}"##],
        "fae8651af7c58fda17d1dbb96b9fcb2fbeb91b9b179e53aa7f5030d7ad283689",
    ),
    (
        "version 1.10.0-dev",
        &[r##"{"docker_version":"1.10.0-dev","x":1}"##],
        "7ef33e671f6c7c3c1c44bac4dd281d5b2bfe6a26dca1e234df40728967f0bad2",
    ),
    (
        "version 17.03.1-ce",
        &[r##"{"docker_version":"17.03.1-ce","x":1}"##],
        "3334f9bf9fb88f7b21fcd18f2468310c45943897eae46023afa4d9091fea3147",
    ),
    (
        "version dev",
        &[r##"{"docker_version":"dev","x":1}"##],
        "5981c5ef1f1a3e0b8d802d385053f8ac85f5a4fbf3f19555a1284e171a0822b4",
    ),
    (
        "version library-import",
        &[r##"{"docker_version":"library-import","x":1}"##],
        "c963cbaf619b94440268eabb8aacbf5affaf3965f23916dc2fd789d07a7393d3",
    ),
    (
        "version of nothing",
        &[r##"{"docker_version":"","x":1}"##],
        "0982e214eb1f0b05cb9c1d344c14f0731b4bb624dd352e7280ddf52f22748b5d",
    ),
    (
        "version +1.8.+3",
        &[r##"{"docker_version":"+1.8.+3","x":1}"##],
        "028197c6168bf78f348d7cfc0e2c2829d2814f518a6cf7bfe9fb4dc6268cd3cf",
    ),
    (
        "version 1.99999999999999999999",
        &[r##"{"docker_version":"1.99999999999999999999","x":1}"##],
        "2808161dc1a797666c2a055c72c7f2649eb31a0957b93ead5c61f29527304466",
    ),
    (
        "a chain",
        &[
            r##"{"id":"a","comment":"Imported from -","created":"2013-06-13T14:03:50.5-07:00","docker_version":"0.4.0","architecture":"x86_64"}"##,
            r##"{"id":"b","parent":"a","created":"2015-06-13T14:03:50.120Z","docker_version":"1.8.3","author":"me","container_config":{"Cmd":["/bin/sh","-c","#(nop) MAINTAINER me"]},"throwaway":true}"##,
            r##"{"id":"c","parent":"b","created":"2016-06-13T14:03:50Z","docker_version":"1.9.1","os":"linux","architecture":"amd64","author":"me","container_config":{"Cmd":["/bin/sh","-c","a && b > c"]},"config":{"Cmd":["x"]},"Size":7}"##,
        ],
        "ee513c1960194eef3326ede1935a205e9d8043ba76c8ba9702aacfc968110322",
    ),
];

#[test]
fn configs_have_the_ids_that_docker_gave_them() {
    let mut wrong = Vec::new();
    for (case, documents, id) in CASES {
        let config = config_of(documents);
        let found = Digest::sha256(config.as_bytes());
        if found.encoded() != *id {
            wrong.push(format!("{case}: {found}, not {id}\n  {config}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_old_document_is_passed_through_the_types_of_docker() {
    let defaults = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#;
    let diff_id = Digest::sha256(b"layer 1");
    let expected = format!(
        "{{\"config\":{defaults},\"container_config\":{defaults},\"created\":\"0001-01-01T00:00:00Z\",\
         \"history\":[{{\"created\":\"0001-01-01T00:00:00Z\"}}],\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{diff_id}\"]}}}}"
    );
    assert_eq!(config_of(&[r#"{"id":"a","config":{"Memory":0},"checksum":"x"}"#]), expected);
}

#[test]
fn a_later_document_keeps_what_docker_does_not_know() {
    let diff_id = Digest::sha256(b"layer 1");
    let expected = format!(
        "{{\"checksum\":\"\\u003cx\\u003e\",\"config\":{{\"Memory\":0}},\"docker_version\":\"1.9.0\",\
         \"history\":[{{\"created\":\"0001-01-01T00:00:00Z\"}}],\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{diff_id}\"]}}}}"
    );
    let document = r#"{"id":"a", "docker_version":"1.9.0", "config":{"Memory":0}, "checksum":"<x>"}"#;
    assert_eq!(config_of(&[document]), expected);
}

#[test]
fn documents_that_docker_refused_are_refused() {
    for (document, reason) in [
        ("", "EOF"),
        ("null", "null"),
        ("[]", "not an object"),
        (r#"{"id":"a"} x"#, "trailing"),
        (r#"{"id":"a","id":"b"}"#, "twice"),
        (r#"{"author":"a","Author":"b"}"#, "twice"),
        (r#"{"created":"yesterday"}"#, "created"),
        (r#"{"docker_version":"1.9.0","Size":"1"}"#, "Size"),
        (r#"{"docker_version":1.9}"#, "docker_version"),
        (r#"{"config":{"Env":"A=1"}}"#, "Env"),
    ] {
        let error = V1Json::parse(document.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{document}: {error}");
    }
    assert!(config(&[]).is_err());
}

#[test]
fn a_parent_is_found_whatever_the_case_of_its_name() {
    for (document, parent) in
        [(r#"{"parent":"a"}"#, Some("a")), (r#"{"Parent":"a"}"#, Some("a")), (r#"{"parent":""}"#, None)]
    {
        assert_eq!(V1Json::parse(document.as_bytes()).unwrap().parent(), parent, "{document}");
    }
}
