// What a person can copy and paste once the stack runs.

/// Shows how to use the running stack.
struct Snippets {
    let gateway: String
    let control: String
    let adminToken: String
    let key: String
    let model: String

    func show() {
        Console.line(
            """

            Try it:

              curl -N \(gateway)/v1/chat/completions \\
                -H 'Authorization: Bearer \(key)' \\
                -H 'Content-Type: application/json' \\
                -d '{"model":"\(model)","stream":true,"messages":[{"role":"user","content":"Hello, Weir"}]}'

              # pip install openai
              from openai import OpenAI
              client = OpenAI(base_url="\(gateway)/v1", api_key="\(key)")
              for event in client.chat.completions.create(
                  model="\(model)", stream=True, messages=[{"role": "user", "content": "Hello, Weir"}]
              ):
                  print(event.choices[0].delta.content or "" if event.choices else "", end="", flush=True)

            Change a policy (see the README's tour):

              curl \(control)/v1/policies -H 'Authorization: Bearer \(adminToken)'
            """
        )
    }
}
