// A throw-away broker with the management plugin and this build's plugin, and what the tests ask of
// it beside the page.
'use strict';

const {execFile, spawn} = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const {until} = require('./until.js');

// Everybody's password is their name.
const users = {administrator: 'administrator', monitoring: 'monitoring', management: 'management',
               nobody: ''};

class Broker {
    others = [];

    // `queues`: besides some dozen of all kinds. `configuration`: lines for rabbitmq.conf.
    // `nodes`: of one cluster; the further ones are in `others`.
    static async start({queues = 20, configuration = [], nodes = 1} = {}) {
        const broker = new Broker();
        broker.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'hot-backup-ui-'));
        const ready = path.join(broker.directory, 'ready');
        const lines = configuration.length > 0 ? ['--configuration', ...configuration] : [];
        broker.process = spawn(
            ...launched(process.env.HOT_BACKUP_THROWAWAY_BROKER,
                        ['--nodes', String(nodes), '--queues', String(queues), '--bindings', '20', '--rate', '0',
                         '--ready-file', ready, '--enable', 'rabbitmq_management', ...lines]),
            {env: {...process.env, TMPDIR: broker.directory},
             stdio: ['ignore', 'ignore', 'inherit']});
        broker.ended = new Promise(resolve => broker.process.on('exit', resolve));
        await until('the broker', 300_000, () => {
            if (broker.process.exitCode !== null) throw new Error('the broker does not start');
            return fs.existsSync(ready);
        });
        broker.settings = read_settings(ready);
        for (let node = 2; node <= nodes; ++node) {
            const other = new Broker();
            other.settings = read_settings(`${ready}.${node}`);
            broker.others.push(other);
        }
        await broker.addUsers();
        return broker;
    }

    get url() {
        return `http://127.0.0.1:${this.settings.MANAGEMENT_PORT}/`;
    }

    // A request to the HTTP API; throws when it is refused. Answers the decoded body.
    async api(method, resource, body, user = 'guest') {
        const response = await fetch(this.url + 'api' + resource, {
            method, body: body === undefined ? undefined : JSON.stringify(body),
            headers: {authorization: 'Basic ' + Buffer.from(`${user}:${user}`).toString('base64'),
                      'content-type': 'application/json'}
        });
        const text = await response.text();
        if (!response.ok) throw new Error(`${method} ${resource}: ${response.status} ${text}`);
        return text === '' ? undefined : JSON.parse(text);
    }

    async addUsers() {
        for (const [name, tags] of Object.entries(users)) {
            await this.api('PUT', `/users/${name}`, {password: name, tags});
            await this.allow(name, '/');
        }
    }

    async allow(user, vhost) {
        await this.api('PUT', `/permissions/${encodeURIComponent(vhost)}/${user}`,
                       {configure: '.*', write: '.*', read: '.*'});
    }

    async addQueue(vhost, name, messages = 0, type = 'classic') {
        const place = `${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
        await this.api('PUT', `/queues/${place}`,
                       {durable: true, arguments: {'x-queue-type': type}});
        for (let n = 0; n < messages; ++n) {
            await this.api('POST', `/exchanges/${encodeURIComponent(vhost)}/amq.default/publish`, {
                properties: {delivery_mode: 2}, routing_key: name, payload: `message ${n}`,
                payload_encoding: 'string'
            });
        }
    }

    // Of a queue, counted by taking them and giving them back.
    async messagesIn(vhost, name) {
        const place = `${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
        const got = await this.api('POST', `/queues/${place}/get`,
                                   {count: 1000, ackmode: 'ack_requeue_true', encoding: 'auto'});
        return got.length;
    }

    // A backup, without the page. Answers its ID when it is done.
    async backUp() {
        const {id} = await this.api('POST', '/hot-backup/backups', {});
        return (await this.finished(id)).backup;
    }

    async finished(id) {
        const job = await until(`the end of job ${id}`, 300_000, async () => {
            const now = await this.api('GET', `/hot-backup/jobs/${id}`);
            return now.finished ? now : undefined;
        });
        if (job.state !== 'done') throw new Error(`job ${id}: ${JSON.stringify(job)}`);
        return job;
    }

    backups() {
        return this.api('GET', '/hot-backup/backups');
    }

    // Evaluates Erlang in the node.
    eval(expression) {
        return this.rabbitmqctl('eval', expression);
    }

    rabbitmqctl(...command) {
        const home = path.dirname(this.settings.COOKIE_FILE);
        return new Promise((resolve, reject) => execFile(
            ...launched('sh', ['-c', rabbitmqctl, 'sh', '--node', this.settings.NODE,
                               ...command]),
            {env: {PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8',
                   ERL_EPMD_PORT: this.settings.ERL_EPMD_PORT}},
            (error, output) => error ? reject(error) : resolve(output.trim())));
    }

    setting(name, value) {
        return this.eval(`application:set_env(rabbitmq_hot_backup, ${name}, ${value}).`);
    }

    // What the broker's log says of requests that its processes died of.
    tellCrashes() {
        for (const file of fs.readdirSync(this.directory, {recursive: true})) {
            if (!/\/log\/[^/]*\.log$/.test(file)) continue;
            const lines = fs.readFileSync(path.join(this.directory, file), 'utf8').split('\n');
            const crashes = lines.filter(line => /request process exit|exited with reason/.test(line));
            if (crashes.length > 0) console.error(crashes.slice(0, 20).join('\n'));
        }
    }

    async stop() {
        this.tellCrashes();
        this.process.kill('SIGTERM');
        await this.ended;
        fs.rmSync(this.directory, {recursive: true, force: true});
    }
}

function read_settings(file) {
    return Object.fromEntries([...fs.readFileSync(file, 'utf8').matchAll(/^(\w+)='(.*)'$/gm)]
        .map(([, name, value]) => [name, value]));
}

// A program and its arguments, run by HOT_BACKUP_TEST_LAUNCHER where there is one: the tests of other
// versions of RabbitMQ run their brokers in a system of their own (tests/matrix).
function launched(program, args) {
    const [launcher, ...others] = (process.env.HOT_BACKUP_TEST_LAUNCHER || '').split(' ');
    return launcher ? [launcher, [...others, program, ...args]] : [program, args];
}

// The one of the RabbitMQ that the throw-away broker is.
const rabbitmqctl = `home=${process.env.HOT_BACKUP_TEST_RABBITMQ_HOME ||
    '$(ls -d /usr/lib/rabbitmq/lib/* | tail -n 1)'}; exec "$home/sbin/rabbitmqctl" "$@"`;

module.exports = {Broker};
